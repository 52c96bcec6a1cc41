package broker

import (
	"context"
	"log/slog"
	"slices"
)

// libraryKeys are the only attributes of brokerapi's log lines that are kept.
var libraryKeys = []string{"instance-id", "binding-id", "correlation-id", "requestIdentity"}

const longestLibraryValue = 200

// libraryLog is the handler that brokerapi logs to. When a provision fails
// brokerapi logs the whole request, parameters included, under "instance-details",
// and with every error its text, which for us is the sentence to the user. So
// what is kept is listed here, not what is dropped; and since this broker logs
// every answer itself, brokerapi's lines are for debugging only.
type libraryLog struct{ next slog.Handler }

func (h libraryLog) Enabled(ctx context.Context, _ slog.Level) bool {
	return h.next.Enabled(ctx, slog.LevelDebug)
}

func (h libraryLog) Handle(ctx context.Context, record slog.Record) error {
	kept := slog.NewRecord(record.Time, slog.LevelDebug, record.Message, record.PC)
	record.Attrs(func(a slog.Attr) bool {
		kept.AddAttrs(libraryAttrs(a)...)
		return true
	})
	return h.next.Handle(ctx, kept)
}

func (h libraryLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryLog{h.next.WithAttrs(libraryAttrs(attrs...))}
}

func (h libraryLog) WithGroup(name string) slog.Handler { return libraryLog{h.next.WithGroup(name)} }

func libraryAttrs(attrs ...slog.Attr) []slog.Attr {
	var kept []slog.Attr
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindString || !slices.Contains(libraryKeys, a.Key) {
			continue
		}
		if text := a.Value.String(); recordable(text, longestLibraryValue) {
			kept = append(kept, a)
		}
	}
	return kept
}
