// Package store keeps the rows of identities in Postgres: one table for each
// thing that package identity describes, and the events beside them.
//
// # Idea
//
// Decisions are made by identity, under locks that are taken here. Every change
// happens inside Within; whatever is read outside is for waiting and telling.
// SQL is written by hand with explicit columns, so that a program runs beside
// its successor's schema. Secrets are sealed on the way in, with the id of the
// row as associated data, and unsealed on the way out; nothing else does either.
//
// # Locks
//
// They are taken in one order, which makes quotas, joins, the last one out and
// cascades free of races: space (an advisory lock), instance, connection id,
// bindings, identity. Claims lock identities alone and skip what is locked.
//
// # Clocks
//
// Leases and quiet times are measured by the database's clock, since several
// processes compare them. Everything else is by the clock of the broker that
// wrote it.
//
// # When it fails
//
//	deadlock, serialization, unique violation   Within runs again, at most 10 times
//	a lock is not had within 200 ms             Within runs again until its context ends
//	a process is stopped in a transaction       Postgres ends it after 5 s, and its locks
//	connection lost before or in a statement    an error; nothing was changed
//	connection lost in the commit               an error; read again to know
//	connection of Listen lost                   made again, and the loop woken; it polls meanwhile
//	wrong keyset                                Open refuses: the canary row does not open
//	schema older than the program               Ready and Open refuse, naming migrate
package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"airflow-identity/identity"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Store is identity's store on Postgres.
type Store struct {
	pool   *pgxpool.Pool
	sealer *Sealer
	broker identity.BrokerID
}

var _ identity.Store = (*Store)(nil)

// Open connects, and checks that schema and keyset fit. url is a postgres:// URL;
// that of a pooler went through ThroughPooler.
func Open(ctx context.Context, url string, sealer *Sealer) (*Store, error) {
	pool, err := connect(ctx, url)
	if err != nil {
		return nil, err
	}
	s := &Store{pool: pool, sealer: sealer}
	if err := s.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// poolSize is how many connections one process has at most; pool_max_conns in the
// URL beats it.
const poolSize = 16

func connect(ctx context.Context, url string) (*pgxpool.Pool, error) {
	config, err := poolConfig(url)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(url, "pool_max_conns") {
		config.MaxConns = poolSize
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connecting to the database: %w", err)
	}
	return pool, nil
}

func poolConfig(url string) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		// The library masks passwords, but not in every malformed URL.
		return nil, errors.New("the database URL cannot be read; it must look like postgres://user:password@host:port/database")
	}
	return config, nil
}

// connConfig is for a single connection: it leaves out what a URL says about pools,
// which Postgres would take for a setting that it does not know.
func connConfig(url string) (*pgx.ConnConfig, error) {
	config, err := poolConfig(url)
	if err != nil {
		return nil, err
	}
	return config.ConnConfig, nil
}

func (s *Store) check(ctx context.Context) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	if err := s.pool.QueryRow(ctx, sqlBroker).Scan(&s.broker); err != nil {
		return fmt.Errorf("reading the broker's uuid: %w", err)
	}
	return s.openCanary(ctx)
}

const (
	sqlBroker    = `SELECT id FROM broker`
	sqlCanary    = `SELECT sealed FROM canary`
	sqlPutCanary = `INSERT INTO canary (sealed) VALUES ($1) ON CONFLICT DO NOTHING`

	canaryText = "the keyset opens what it sealed"
	canaryRow  = "canary"
)

// openCanary refuses a keyset that cannot open what the rows were sealed with,
// before a single row is touched.
func (s *Store) openCanary(ctx context.Context) error {
	sealed, err := s.sealer.seal(identity.SecretFrom(canaryText), canaryRow)
	if err != nil {
		return err
	}
	if _, err := s.pool.Exec(ctx, sqlPutCanary, sealed); err != nil {
		return fmt.Errorf("writing the canary row: %w", err)
	}
	if err := s.pool.QueryRow(ctx, sqlCanary).Scan(&sealed); err != nil {
		return fmt.Errorf("reading the canary row: %w", err)
	}
	text, err := s.sealer.unseal(sealed, canaryRow)
	if err != nil || text.Reveal() != canaryText {
		return errors.New("the sealing keyset is not the one this database was sealed with; configure the keyset that was in use before")
	}
	return nil
}

// Close waits for what is under way and closes every connection.
func (s *Store) Close() { s.pool.Close() }

// Broker is this installation's uuid.
func (s *Store) Broker() identity.BrokerID { return s.broker }

const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	uniqueViolation      = "23505"
	undefinedTable       = "42P01"
	lockNotAvailable     = "55P03"

	transactionTries = 10
)

// Within runs fn in one transaction, and again if the database gave it up for a
// reason that lies in what others did at the same time.
func (s *Store) Within(ctx context.Context, fn func(ctx context.Context, tx identity.Tx) error) error {
	var err error
	for range transactionTries {
		for {
			err = pgx.BeginTxFunc(ctx, s.pool, bounded, func(tx pgx.Tx) error {
				return fn(ctx, &transaction{tx: tx, sealer: s.sealer})
			})
			// Locked rows are waited for outside of the transaction, so that they
			// do not take every connection of the pool.
			if !isCode(err, lockNotAvailable) || ctx.Err() != nil {
				break
			}
		}
		if !isCode(err, serializationFailure, deadlockDetected, uniqueViolation) {
			return err
		}
	}
	return fmt.Errorf("giving up after %d tries: %w", transactionTries, err)
}

// bounded transactions end when their process is stopped in the middle of them,
// which would else keep rows locked for ever, and wait for a lock for a short
// while only. The settings are the transaction's own, as a pooler wants it.
var bounded = pgx.TxOptions{BeginQuery: "BEGIN; SET LOCAL idle_in_transaction_session_timeout = '5s'; SET LOCAL lock_timeout = '200ms'"}

func isCode(err error, codes ...string) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains(codes, pgErr.Code)
}
