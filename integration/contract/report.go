package contract

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Verdict is what became of a case.
type Verdict string

const (
	Holds     Verdict = "holds"
	Broken    Verdict = "does not hold"
	Otherwise Verdict = "otherwise, and handled"
	Unknown   Verdict = "cannot be known here"
)

// Finding is one case and its verdict.
type Finding struct {
	Case    string  `json:"case"`
	Source  string  `json:"source"` // where the fact was learnt: a page of the reference, or how the program uses it
	Verdict Verdict `json:"verdict"`
	Seen    string  `json:"seen,omitempty"` // one line; empty where the case holds
}

// Report is one run of a suite.
type Report struct {
	Suite    string    `json:"suite"` // UAA, Airflow v1 or Airflow v2
	URL      string    `json:"url"`
	Findings []Finding `json:"findings"`
	// Left are the names of what could not be removed.
	Left []string `json:"left,omitempty"`
}

// Count tells how many cases ended so.
func (r Report) Count(verdict Verdict) int {
	count := 0
	for _, f := range r.Findings {
		if f.Verdict == verdict {
			count++
		}
	}
	return count
}

// Sound tells whether nothing is wrong: no case that does not hold, and nothing left behind.
func (r Report) Sound() bool { return r.Count(Broken) == 0 && len(r.Left) == 0 }

// testCase is a fact and how it is tried. check gives nil if it holds, handled or
// unknowable, or else an error that says what was seen against what was expected.
type testCase[S any] struct {
	name, source string
	gate         bool // what follows is not tried unless it holds
	check        func(context.Context, S) error
}

// handled is a difference between versions that the program is made for.
type handled string

func (h handled) Error() string { return string(h) }

// unknowable is why a case tells nothing.
type unknowable string

func (u unknowable) Error() string { return string(u) }

// silent is a call without an answer. The cases after it are not tried: each would wait
// for as long.
type silent struct{ err error }

func (s silent) Error() string { return s.err.Error() }
func (s silent) Unwrap() error { return s.err }

const brokenOff = "broken off"

// tidyMost bounds the removal of what one case has made.
const tidyMost = 30 * time.Second

// try runs the cases in order. tidy removes what was made since it was last called, and
// gives what it could not remove.
func try[S any](ctx context.Context, suite, url string, cases []testCase[S], s S, tidy func(context.Context) []string) Report {
	report := Report{Suite: suite, URL: url, Findings: make([]Finding, 0, len(cases))}
	after := func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), tidyMost)
		defer cancel()
		report.Left = tidy(ctx)
	}
	stopped := ""
	for _, c := range cases {
		found := Finding{Case: c.name, Source: c.source}
		switch {
		case ctx.Err() != nil:
			found.Verdict, found.Seen = Unknown, brokenOff
		case stopped != "":
			found.Verdict, found.Seen = Unknown, "not tried: "+stopped
		default:
			err := c.check(ctx, s)
			after()
			found.Verdict, found.Seen = judge(err)
			var noAnswer silent
			switch {
			case ctx.Err() != nil && err != nil:
				found.Verdict, found.Seen = Unknown, brokenOff
			case errors.As(err, &noAnswer):
				stopped = fmt.Sprintf("%q got no answer", c.name)
			case c.gate && found.Verdict != Holds && found.Verdict != Otherwise:
				stopped = fmt.Sprintf("%q comes first", c.name)
			}
		}
		report.Findings = append(report.Findings, found)
	}
	after()
	return report
}

func judge(err error) (Verdict, string) {
	var (
		difference handled
		nothing    unknowable
	)
	if err == nil {
		return Holds, ""
	}
	line := strings.ReplaceAll(err.Error(), "\n", "; ") // of errors that were joined
	switch {
	case errors.As(err, &difference):
		return Otherwise, line
	case errors.As(err, &nothing):
		return Unknown, line
	default:
		return Broken, line
	}
}
