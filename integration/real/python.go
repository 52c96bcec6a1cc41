//go:build unix

package real

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"airflow-identity/integration/internal/child"
)

// Python is a script that stays up in Airflow's own Python and answers questions, a
// line each. Starting that Python takes seconds, and a question milliseconds.
type Python struct {
	process   *child.Process
	questions *os.File // the script's stdin
	answers   *os.File // what it writes to $ANSWERS, a descriptor
	errors    string   // the file of its stderr

	mu    sync.Mutex // one question at a time
	lines *bufio.Reader
}

// StartPython starts a script with Airflow's configuration and database, as RunPython
// does, and does not wait until it is ready: the first answer takes longer. The script
// reads questions from stdin and writes an answer to each, a line, to the descriptor
// that the environment variable ANSWERS names; Airflow puts much into stdout. It has to
// end when stdin does. Stop it before Airflow.
func (a *Airflow) StartPython(script string) (_ *Python, err error) {
	fail := func(err error) (*Python, error) {
		return nil, fmt.Errorf("start a script in Airflow's Python: %w", err)
	}
	stdin, questions, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer stdin.Close()
	answers, told, err := os.Pipe()
	if err != nil {
		return fail(errors.Join(err, questions.Close()))
	}
	defer told.Close()
	p := &Python{questions: questions, answers: answers, lines: bufio.NewReader(answers)}
	complaints, err := os.CreateTemp(a.dir, "script-*.log")
	if err != nil {
		return fail(errors.Join(err, p.closePipes()))
	}
	defer complaints.Close()
	p.errors = complaints.Name()
	p.process, err = child.Start(child.Config{
		Path: airflowPython(a.venv), Args: []string{"-c", script},
		Env: a.with([]string{"_AIRFLOW_PROCESS_CONTEXT=server", "ANSWERS=3"}), Dir: a.dir,
		Stdin: stdin, Stdout: complaints, Stderr: complaints, ExtraFiles: []*os.File{told},
	})
	if err != nil {
		return fail(errors.Join(err, p.closePipes()))
	}
	return p, nil
}

// Ask gives the answer to a question, both without their line ends. An error that is
// not the context's carries the end of what the script complained about. After any
// error the script is of no use any more.
func (p *Python) Ask(ctx context.Context, question string) (answer string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// A pipe knows deadlines, not contexts.
	deadline, _ := ctx.Deadline() // none is the zero time, which means none here as well
	if err := errors.Join(p.questions.SetWriteDeadline(deadline), p.answers.SetReadDeadline(deadline)); err != nil {
		return "", fmt.Errorf("ask a script in Airflow's Python: %w", err)
	}
	defer context.AfterFunc(ctx, func() {
		_ = p.questions.SetWriteDeadline(time.Unix(0, 0)) // they are open as long as somebody asks
		_ = p.answers.SetReadDeadline(time.Unix(0, 0))
	})()
	if _, err = p.questions.WriteString(question + "\n"); err == nil {
		answer, err = p.lines.ReadString('\n')
	}
	if err != nil {
		if ctx.Err() != nil {
			return "", fmt.Errorf("ask a script in Airflow's Python: %w", context.Cause(ctx))
		}
		why, _ := os.ReadFile(p.errors)
		return "", fmt.Errorf("ask a script in Airflow's Python: %w\n%s", err, lastLines(why, 25))
	}
	return strings.TrimSuffix(answer, "\n"), nil
}

// Stop ends the script and waits for it.
func (p *Python) Stop() error {
	return errors.Join(p.process.Stop(stopGrace), p.closePipes())
}

func (p *Python) closePipes() error {
	return errors.Join(p.questions.Close(), p.answers.Close())
}
