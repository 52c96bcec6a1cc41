package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"code.cloudfoundry.org/lager/v3"
)

// newLogger writes Cloud Foundry's log format, with anything that looks like a
// secret redacted: the last line of defence, since no secret gets this far.
func newLogger(to io.Writer) (*slog.Logger, error) {
	level := lager.INFO
	if text := os.Getenv("LOG_LEVEL"); text != "" {
		var err error
		if level, err = lager.LogLevelFromString(text); err != nil {
			return nil, fmt.Errorf("LOG_LEVEL is %q; it must be debug, info, error or fatal", text)
		}
	}
	sink, err := lager.NewRedactingSink(lager.NewWriterSink(to, level), nil, nil)
	if err != nil {
		return nil, fmt.Errorf("preparing the log: %w", err)
	}
	logger := lager.NewLogger("airflow-identity")
	logger.RegisterSink(sink)
	return slog.New(lager.NewHandler(logger)), nil
}
