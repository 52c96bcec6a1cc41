package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"airflow-identity/identity"
	"airflow-identity/integration/standin"
	uaastandin "airflow-identity/integration/standin/uaa"
)

// demoTasks are how many tasks ask for tokens while secrets are replaced.
const demoTasks = 3

// tasks are running tasks of DAGs: each reads the connection, keeps what it read for
// the whole soak, asks for tokens with it all the time, and reads it again.
type tasks struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu              sync.Mutex
	tokens, refused int
	problem         error // the first that is not a refusal
}

func (c *cast) startTasks(ctx context.Context) *tasks {
	ctx, stop := context.WithCancel(ctx)
	t := &tasks{stop: stop}
	for range demoTasks {
		t.running.Go(func() {
			for ctx.Err() == nil {
				t.keepOne(ctx, c)
			}
		})
	}
	return t
}

// keepOne is the life of one secret in a task's hands.
func (t *tasks) keepOne(ctx context.Context, c *cast) {
	// What is under way when the tasks are stopped is a token like the others.
	asking := context.WithoutCancel(ctx)
	read := time.Now() // a secret may be old by the time that it is here
	task, err := c.environments["prod"].readAsTask(asking, storyConnection)
	if err != nil {
		t.count(0, err)
		return
	}
	for ; ctx.Err() == nil && time.Since(read) < c.pace.soak; time.Sleep(c.pace.taskPause) {
		_, status, err := task.token(asking)
		t.count(status, err)
	}
}

func (t *tasks) count(status int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && status == http.StatusOK:
		t.tokens++
	case err == nil:
		t.refused++
	case t.problem == nil:
		t.problem = err
	}
}

// end stops the tasks and tells what they got; anything but tokens is an error.
func (t *tasks) end() (tokens int, err error) {
	t.stop()
	t.running.Wait()
	switch {
	case t.problem != nil:
		return t.tokens, fmt.Errorf("a task: %w", t.problem)
	case t.refused > 0 || t.tokens == 0:
		return t.tokens, fmt.Errorf("tasks got %d tokens and %d refusals", t.tokens, t.refused)
	}
	return t.tokens, nil
}

// rotatedTwice is the DAG author's part: tasks that go on while the secret is replaced
// twice.
func rotatedTwice(ctx context.Context, t *story, c *cast) error {
	before, err := c.generation(ctx)
	if err != nil {
		return err
	}
	running := c.startTasks(ctx)
	defer running.stop()
	for range 2 {
		t.cf("airflow-identity rotate " + storyConnection)
		said, err := c.order(ctx, "rotate", storyConnection)
		if err != nil {
			return err
		}
		t.say("%s", said)
	}
	err = until(ctx, func() bool { return c.secretChanges(uaastandin.ModeDelete) == 2 })
	if err != nil {
		return fmt.Errorf("the old secrets were not retired: %w", err)
	}
	tokens, err := running.end()
	if err != nil {
		return err
	}
	after, err := c.generation(ctx)
	if err != nil {
		return err
	}
	_, old, err := c.kept.token(ctx)
	if err != nil || old != http.StatusUnauthorized || after-before != 2 {
		return fmt.Errorf("after %d rotations the old secret is answered with %d %w", after-before, old, err)
	}
	t.say("%d tokens, %d rotations, 0 refused; old secret now %d", tokens, after-before, old)
	t.show(fmt.Sprintf("%d tasks asked all the time, each with what it had read, for the whole soak, here %s", demoTasks, c.pace.soak))
	return nil
}

// killedInMidRotation kills the broker that rotates when UAA has the new secret,
// Airflow has the old one, and nobody has heard of either.
func killedInMidRotation(ctx context.Context, t *story, c *cast) error {
	before, err := c.generation(ctx)
	if err != nil {
		return err
	}
	marks, err := c.markLogs()
	if err != nil {
		return err
	}
	killed := make(chan error, 1)
	c.environments["prod"].uaa.faults.Add(standin.Fault{
		Call: "PUT /oauth/clients/" + c.kept.Login + "/secret", Kind: standin.LoseAfter,
		After: func() { killed <- c.killWhoever(marks) },
	})
	running := c.startTasks(ctx)
	defer running.stop()
	t.cf("airflow-identity rotate " + c.kept.Login + "   # and kill -9 of the broker that does it")
	if _, err := c.order(ctx, "rotate", c.kept.Login, "--timeout", "0"); err != nil {
		return err
	}
	select {
	case err = <-killed:
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the broker that rotates was not killed: %w", err)
	}
	since := time.Now()
	t.say("killed after UAA had acted: it has two secrets, Airflow the old one, and no outcome is written")
	err = until(ctx, func() bool {
		now, err := c.generation(ctx)
		return err == nil && now == before+1
	})
	if err != nil {
		return fmt.Errorf("the other broker did not take over: %w", err)
	}
	took := time.Since(since)
	tokens, err := running.end()
	if err != nil {
		return err
	}
	if added := c.secretChanges(uaastandin.ModeAdd); added != 3 {
		return fmt.Errorf("in three rotations %d secrets were added", added)
	}
	t.say("the other took over after %s, found the new secret and published it; meanwhile %d tokens, 0 refused", took.Round(time.Second), tokens)
	return c.restart(ctx)
}

// retired waits for the end of the soak that began when the other took over.
func retired(ctx context.Context, t *story, c *cast) error {
	if err := until(ctx, func() bool { return c.secretChanges(uaastandin.ModeDelete) == 3 }); err != nil {
		return fmt.Errorf("the old secret was not retired: %w", err)
	}
	prod := c.environments["prod"]
	task, err := prod.readAsTask(ctx, storyConnection)
	if err != nil {
		return err
	}
	accepted, err := prod.accepted(ctx, c.kept.Login)
	if err != nil {
		return err
	}
	if !slices.Equal(accepted, []string{task.Password}) {
		return fmt.Errorf("UAA accepts %d secrets of the client after the soak, want the one that Airflow has", len(accepted))
	}
	t.say("the rotation is whole: UAA has one secret again, the one in Airflow")
	c.kept = task
	return nil
}

// order runs one of the operator's verbs, as a process of its own, and gives what it
// said on one line, without names.
func (c *cast) order(ctx context.Context, arguments ...string) (said string, err error) {
	cmd := exec.CommandContext(ctx, c.program, arguments...)
	cmd.Env = append(os.Environ(), "DATABASE_URL="+c.stage.databaseURL())
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("airflow-identity %s: %w: %s", strings.Join(arguments, " "), err, complaint.String())
	}
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(line string) bool { return strings.HasPrefix(line, " ") })
	return strings.Join(lines, "; "), nil
}

// generation is that of the secret which Airflow has, as its marker says.
func (c *cast) generation(ctx context.Context) (int, error) {
	connection, err := c.environments["prod"].connection(ctx, storyConnection)
	if err != nil {
		return 0, err
	}
	marker, ours := identity.ParseMarker(connection.Description)
	if !ours {
		return 0, errors.New("the connection " + storyConnection + " in Airflow is not ours")
	}
	return marker.Generation, nil
}

func (c *cast) secretChanges(mode string) int {
	return c.environments["prod"].uaa.secretChanges(c.kept.Login, mode)
}

// markLogs remembers how long the brokers' logs are.
func (c *cast) markLogs() (map[*demoBroker]int64, error) {
	marks := map[*demoBroker]int64{}
	for _, b := range []*demoBroker{c.first, c.second} {
		info, err := os.Stat(b.log)
		if err != nil {
			return nil, fmt.Errorf("looking at a log: %w", err)
		}
		marks[b] = info.Size()
	}
	return marks, nil
}

// killWhoever kills the broker that has read the connection since the marks, which
// is what a rotation begins with.
func (c *cast) killWhoever(marks map[*demoBroker]int64) error {
	for b, mark := range marks {
		text, err := os.ReadFile(b.log)
		if err != nil {
			return fmt.Errorf("reading a log: %w", err)
		}
		if strings.Contains(string(text[mark:]), "GET /connections/{id}") {
			b.kill()
			return nil
		}
	}
	return errors.New("neither log tells of it")
}

// restart starts what was killed again, as the platform does.
func (c *cast) restart(ctx context.Context) (err error) {
	for name, b := range map[string]**demoBroker{"broker-1": &c.first, "broker-2": &c.second} {
		select {
		case <-(*b).exited:
			if *b, err = startBroker(ctx, c.stage, c.program, name); err != nil {
				return err
			}
		default:
		}
	}
	return nil
}
