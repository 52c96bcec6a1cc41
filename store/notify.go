package store

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
)

// dueChannel is where brokers tell each other that rows became due. Nothing is
// lost with a notification: it only spares the loop a wait for its next poll.
const dueChannel = "airflow_identity_due"

const (
	sqlNotify = `SELECT pg_notify('` + dueChannel + `', '')`
	sqlListen = `LISTEN ` + dueChannel
)

// notify wakes the loops of all brokers once the transaction is committed, however
// often it is called before.
func (t *transaction) notify(ctx context.Context) error {
	_, err := t.tx.Exec(ctx, sqlNotify)
	return writing("that something is due", err)
}

const (
	// listenAgain is how long a broker without its connection only polls before it
	// tries to have one again.
	listenAgain = time.Second
	// listenWithin bounds each attempt.
	listenWithin = 10 * time.Second
)

// Listen calls wake whenever rows became due, until ctx ends. It has one
// connection of its own, for which url must lead to Postgres itself: a pooler that
// gives connections away between transactions would give this one away too. A
// connection that is lost is made again, and wake is called then as well, since
// something may have been missed. The only error is a URL that cannot be read.
func Listen(ctx context.Context, url string, wake func(), logger *slog.Logger) error {
	config, err := connConfig(url)
	if err != nil {
		return fmt.Errorf("listening for what is due: %w", err)
	}
	told := false // of this outage
	for {
		err := listen(ctx, config, func() {
			told = false
			wake()
		})
		if ctx.Err() != nil {
			return nil
		}
		if !told {
			told = true
			logger.Warn("nobody can tell this process what is due; it polls, and tries to listen again", "error", err)
		}
		pause := time.NewTimer(listenAgain)
		select {
		case <-ctx.Done():
			pause.Stop()
			return nil
		case <-pause.C:
		}
	}
}

// listen has one connection until it breaks or ctx ends. A server that vanishes
// without a word is found out late, by TCP; the poll bridges that too.
func listen(ctx context.Context, config *pgx.ConnConfig, wake func()) error {
	connecting, cancel := context.WithTimeout(ctx, listenWithin)
	defer cancel()
	conn, err := pgx.ConnectConfig(connecting, config)
	if err != nil {
		return fmt.Errorf("connecting to listen: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it is broken, or nobody needs it any more
	}()
	if _, err := conn.Exec(connecting, sqlListen); err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	for {
		wake()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return fmt.Errorf("listening: %w", err)
		}
	}
}
