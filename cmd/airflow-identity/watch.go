package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

const (
	// watchEvery is how often it is looked at the least; on a large database a look
	// takes longer, and is made more seldom.
	watchEvery  = 250 * time.Millisecond
	watchFactor = 10
	// sayEvery is how often a line is said where there is no terminal.
	sayEvery = 5 * time.Second

	defaultWatch = 15 * time.Minute
)

// stand is how far something is.
type stand struct {
	done, total int
	words       string
	over        bool // nothing more is to be waited for
}

// watch looks again and again until it is over, and shows how far it is: a bar on a
// terminal, else lines, and nothing where JSON is asked for. false: the time
// was over first.
func watch(ctx context.Context, out io.Writer, timeout time.Duration, quiet bool, look func(context.Context) (stand, error)) (bool, error) {
	waiting, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	show := newMeter(out, quiet)
	defer show.end()
	for {
		began := time.Now()
		now, err := look(context.WithoutCancel(waiting))
		if err != nil {
			return false, err
		}
		show.tell(now)
		if now.over {
			return true, nil
		}
		pause := time.NewTimer(max(watchEvery, watchFactor*time.Since(began)))
		select {
		case <-waiting.Done():
			pause.Stop()
			if ctx.Err() != nil {
				return false, errors.New("the waiting was broken off; what was asked for goes on, and the same command joins it")
			}
			return false, nil
		case <-pause.C:
		}
	}
}

// meter shows progress.
type meter struct {
	out      io.Writer
	quiet    bool
	terminal bool
	said     string
	at       time.Time
}

func newMeter(out io.Writer, quiet bool) *meter {
	file, isFile := out.(*os.File)
	m := &meter{out: out, quiet: quiet}
	if isFile {
		info, err := file.Stat()
		m.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return m
}

const barWidth = 30

func (m *meter) tell(s stand) {
	line := fmt.Sprintf("%d of %d", s.done, s.total)
	if s.words != "" {
		line += ", " + s.words
	}
	switch {
	case m.quiet || line == m.said:
	case m.terminal:
		full := barWidth
		if s.total > 0 {
			full = barWidth * s.done / s.total
		}
		fmt.Fprintf(m.out, "\r\x1b[K[%s%s] %s", strings.Repeat("#", full), strings.Repeat("-", barWidth-full), line)
		m.said = line
	case s.over || time.Since(m.at) >= sayEvery:
		fmt.Fprintln(m.out, line)
		m.said, m.at = line, time.Now()
	}
}

func (m *meter) end() {
	if m.terminal && m.said != "" {
		fmt.Fprintln(m.out)
	}
}
