package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"airflow-identity/audit"
	"airflow-identity/identity"
	"airflow-identity/integration/postgres/pgtest"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// noon has no more digits than Postgres keeps.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 123456000, time.UTC)

func open(t testing.TB) *Store {
	t.Helper()
	keyset, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	return openWith(t, pgtest.New(t), keyset)
}

func openWith(t testing.TB, url string, keyset identity.Secret) *Store {
	t.Helper()
	sealer, err := NewSealer(keyset)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), url, sealer)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func within(t testing.TB, s *Store, fn func(ctx context.Context, tx identity.Tx) error) {
	t.Helper()
	if err := s.Within(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// sample is a view with every field set that a row holds.
func sample(n int) identity.View {
	at := func(minutes int) *time.Time { at := noon.Add(time.Duration(minutes) * time.Minute); return &at }
	id := identity.ID(uuid.NewString())
	v := identity.View{
		Instance: identity.Instance{
			Row: identity.RowID(uuid.NewString()), GUID: identity.InstanceGUID(fmt.Sprintf("i%d", n)), Plan: "p", Environment: "prod",
			Org: "o", Space: "s", Names: identity.Names{Org: "acme", Space: "prod", Instance: "orders"}, Parameters: []byte(`{}`),
			Ceiling: []identity.Authority{"orders.read"}, ConnectionBase: "acme_orders", CreatedAt: noon,
		},
		Identity: identity.Identity{
			ID: id, Kind: identity.AirflowIdentity, Environment: "prod", Holder: "app:a",
			Asked: []identity.Authority{"orders.read"}, Granted: []identity.Authority{"orders.read", "orders.write"}, TokenLifetime: 10 * time.Minute,
			Endpoints:  identity.Endpoints{Issuer: "iss", TokenURL: "tok", JWKSURL: "jwks", ZoneID: "uaa"},
			Generation: 1, Secret: identity.SecretFrom("secret-of-" + string(id)), Airflow: "https://airflow", Connection: identity.ConnectionID(fmt.Sprintf("acme_%d", n)),
			Description: "d", Client: identity.Thing{Phase: identity.Creating, QuietUntil: noon.Add(time.Hour)},
			Published: identity.Thing{Phase: identity.Creating}, DueAt: at(1), LeaseUntil: noon.Add(time.Minute), LeaseEpoch: 1,
			WishVersion: 1, RequestID: "r", CreatedAt: noon,
		},
	}
	v.Identity.Instance = v.Instance.Row
	v.Reservation = identity.Reservation{Airflow: v.Identity.Airflow, ID: v.Identity.Connection, Space: "s", Holder: "app:a", Identity: id, QuietUntil: at(5)}
	v.Bindings = []identity.Binding{{
		Row: identity.RowID(uuid.NewString()), GUID: identity.BindingGUID(fmt.Sprintf("b%d", n)), Instance: v.Instance.Row, Airflow: identity.Part{Identity: id},
		App: "a", Parameters: []byte(`{"a":1}`), FinishBy: noon.Add(time.Minute), CreatedAt: noon,
	}}
	return v
}

func insert(t testing.TB, s *Store, v identity.View) {
	t.Helper()
	within(t, s, func(ctx context.Context, tx identity.Tx) error {
		if err := tx.InsertInstance(ctx, v.Instance); err != nil {
			return err
		}
		if _, err := tx.Reserve(ctx, v.Identity.Airflow, v.Identity.Connection, v.Instance.Space); err != nil {
			return err
		}
		if err := tx.InsertIdentity(ctx, v); err != nil {
			return err
		}
		return tx.InsertBinding(ctx, v.Bindings[0])
	})
}

// same compares views apart from the database's clock, with times as instants.
func same(t *testing.T, got, want identity.View) {
	t.Helper()
	got.Clock, want.Clock = time.Time{}, time.Time{}
	g, w := fmt.Sprintf("%+v", utc(got)), fmt.Sprintf("%+v", utc(want))
	if g != w || got.Identity.Secret.Reveal() != want.Identity.Secret.Reveal() {
		t.Errorf("read back:\ngot  %s\nwant %s", g, w)
	}
}

// utc prints pointers to times by what they point to.
func utc(v identity.View) []any {
	var fields []any
	var walk func(reflect.Value)
	walk = func(value reflect.Value) {
		if value.Kind() == reflect.Pointer {
			if value.IsNil() {
				fields = append(fields, "none")
				return
			}
			value = value.Elem()
		}
		if at, ok := value.Interface().(time.Time); ok {
			fields = append(fields, at.UTC().String())
			return
		}
		switch value.Kind() {
		case reflect.Struct:
			if value.Type() == reflect.TypeFor[identity.Secret]() {
				return
			}
			for i := range value.NumField() {
				walk(value.Field(i))
			}
		case reflect.Slice:
			if value.Type().Elem().Kind() == reflect.Uint8 {
				fields = append(fields, string(value.Bytes()))
				return
			}
			for i := range value.Len() {
				walk(value.Index(i))
			}
		default:
			fields = append(fields, value.Interface())
		}
	}
	walk(reflect.ValueOf(v))
	return fields
}

func TestViewsRoundTrip(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := sample(1)
	insert(t, s, v)
	got, err := s.View(t.Context(), v.Identity.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, v)

	within(t, s, func(ctx context.Context, tx identity.Tx) error {
		locked, err := tx.View(ctx, v.Identity.ID)
		if err != nil {
			return err
		}
		same(t, *locked, v)
		return nil
	})

	changed := v
	changed.Bindings = append([]identity.Binding(nil), v.Bindings...)
	b := &changed.Bindings[0]
	b.SucceededAt, b.FailedAt, b.UnboundAt, b.RemovedAt = &noon, &noon, &noon, &noon
	b.Failure = identity.Failure{Code: identity.FailedLate, Message: "m"}
	b.AsyncAt, b.FinishBy = &noon, noon.Add(time.Hour)
	b.Airflow.Ready, b.Airflow.Done, b.Client.Ready, b.Client.Done = true, true, true, true
	i := &changed.Identity
	i.Client, i.Published = identity.Thing{Phase: identity.Gone}, identity.Thing{Phase: identity.Removing}
	i.DueAt, i.Attempt, i.LeaseUntil, i.LeaseEpoch, i.WishVersion = nil, 3, noon, 2, 5
	i.LastError, i.RequestID, i.EndedAt = "e", "r2", &noon
	i.Lane = identity.LaneSweep
	i.Granted, i.Description = []identity.Authority{}, "d2"
	i.Secret, i.Candidate, i.Old = identity.SecretFrom("newer"), identity.SecretFrom("newest"), identity.SecretFrom("older")
	i.Generation = 7
	i.Rotation = identity.Rotation{
		Period: time.Hour, Soak: time.Minute, Overlap: identity.Crowded, PublishedGeneration: 6, PublishedAt: &noon, RotateAt: &noon, RetireAt: &noon,
		RotateAbove: 5, Urgent: true, SeenEpoch: 9, HeldAt: &noon, HeldGeneration: 8, Restored: true,
	}
	changed.Reservation.DebtSince, changed.Reservation.QuietUntil, changed.Reservation.Holder = &noon, nil, "key:x"
	within(t, s, func(ctx context.Context, tx identity.Tx) error { return tx.SaveView(ctx, changed, 1) })
	if got, err = s.View(t.Context(), v.Identity.ID); err != nil {
		t.Fatal(err)
	}
	same(t, got, changed)

	clean := changed
	clean.Identity.CleanAt = &noon
	clean.Identity.Secret, clean.Identity.Candidate, clean.Identity.Old = identity.Secret{}, identity.Secret{}, identity.Secret{}
	clean.Reservation.Identity, clean.Reservation.ReleasedAt, clean.Reservation.DebtSince = "", &noon, nil
	within(t, s, func(ctx context.Context, tx identity.Tx) error { return tx.SaveView(ctx, clean, 2) })
	if got, err = s.View(t.Context(), v.Identity.ID); err != nil {
		t.Fatal(err)
	}
	same(t, got, clean)
}

func TestAnotherEpochWritesNothing(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := sample(1)
	insert(t, s, v)
	late := v
	late.Identity.LastError = "written by a holder that was overtaken"
	late.Reservation.Holder = "app:other"
	err := s.Within(t.Context(), func(ctx context.Context, tx identity.Tx) error { return tx.SaveView(ctx, late, 0) })
	if err == nil {
		t.Error("saving under another epoch succeeded")
	}
	got, err := s.View(t.Context(), v.Identity.ID)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, v)
}

func TestClaim(t *testing.T) {
	t.Parallel()
	s := open(t)
	for n := range 20 {
		v := sample(n)
		v.Identity.LeaseUntil = noon.Add(-24 * time.Hour)
		insert(t, s, v)
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE identity SET lease_until = '2020-01-01'`); err != nil {
		t.Fatal(err)
	}
	if leases, err := s.Claim(t.Context(), "prod", identity.LanePeople, noon, time.Minute, 100); err != nil || len(leases) != 0 {
		t.Errorf("before anything is due: got %d leases, %v", len(leases), err)
	}
	due := noon.Add(time.Hour)
	var (
		mu   sync.Mutex
		held = map[identity.ID]int64{}
		wait sync.WaitGroup
	)
	for range 4 {
		wait.Go(func() {
			for {
				leases, err := s.Claim(t.Context(), "prod", identity.LanePeople, due, time.Minute, 3)
				if err != nil {
					t.Error(err)
					return
				}
				if len(leases) == 0 {
					return
				}
				mu.Lock()
				for _, l := range leases {
					if _, twice := held[l.ID]; twice {
						t.Errorf("identity %s was leased twice", l.ID)
					}
					held[l.ID] = l.Epoch
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	// A claim that was locked out by another's skips rows, so all may need one more.
	leases, err := s.Claim(t.Context(), "prod", identity.LanePeople, due, time.Minute, 100)
	if err != nil {
		t.Fatal(err)
	}
	if got := len(held) + len(leases); got != 20 {
		t.Errorf("leased %d identities, want 20", got)
	}
	for id, epoch := range held {
		if epoch != 2 {
			t.Errorf("identity %s: epoch %d, want one more than 1", id, epoch)
		}
	}
}

func TestSecretsAreSealedForTheirRow(t *testing.T) {
	t.Parallel()
	s := open(t)
	a, b := sample(1), sample(2)
	insert(t, s, a)
	insert(t, s, b)
	var dump string
	if err := s.pool.QueryRow(t.Context(), `SELECT string_agg(encode(secret, 'escape'), '') FROM identity`).Scan(&dump); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(dump, "secret-of-") {
		t.Error("a secret is in its row in clear")
	}
	if _, err := s.pool.Exec(t.Context(), `UPDATE identity SET secret = (SELECT secret FROM identity WHERE id = $1) WHERE id = $2`, a.Identity.ID, b.Identity.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.View(t.Context(), b.Identity.ID); err == nil {
		t.Error("a secret that was moved to another row could be opened there")
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	keyset, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	first := openWith(t, url, keyset)
	again := openWith(t, url, keyset)
	if first.Broker() == "" || first.Broker() != again.Broker() {
		t.Errorf("broker uuids: %q and %q, want one and the same", first.Broker(), again.Broker())
	}
	other, err := NewKeyset()
	if err != nil {
		t.Fatal(err)
	}
	sealer, err := NewSealer(other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, sealer); err == nil || !strings.Contains(err.Error(), "keyset") {
		t.Errorf("another keyset: got %v, want a refusal that names the keyset", err)
	}
	if _, err := first.pool.Exec(t.Context(), `UPDATE schema_version SET version = 1`); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), url, first.sealer); !errors.Is(err, ErrSchema) {
		t.Errorf("an older schema: got %v, want %v", err, ErrSchema)
	}
	if _, err := NewSealer(identity.SecretFrom(`{"open sesame"`)); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a keyset that is none: got %v, want a refusal that does not quote it", err)
	}
	if _, err := Open(t.Context(), "postgres://u:open-sesame@host:port/db", first.sealer); err == nil || strings.Contains(err.Error(), "sesame") {
		t.Errorf("a URL that is none: got %v, want a refusal that does not quote it", err)
	}
}

// TestMigrateFromManyBrokers runs the migrations from ten at once on an empty
// database, and once more on a current one.
func TestMigrateFromManyBrokers(t *testing.T) {
	t.Parallel()
	url := pgtest.New(t)
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `DROP SCHEMA public CASCADE; CREATE SCHEMA public`); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 10 {
		wait.Go(func() {
			if err := Migrate(t.Context(), url); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if err := Migrate(t.Context(), url); err != nil {
		t.Errorf("migrating what is current: %v", err)
	}
	var brokers int
	if err := conn.QueryRow(t.Context(), `SELECT count(*) FROM broker`).Scan(&brokers); err != nil || brokers != 1 {
		t.Errorf("broker rows: got %d %v, want 1", brokers, err)
	}
}

func TestEventsAreFinal(t *testing.T) {
	t.Parallel()
	s := open(t)
	event := audit.Event{ID: uuid.New(), At: noon, Actor: audit.Broker, Action: "bind", Outcome: "done", Where: audit.Where{Instance: "i1"}}
	for range 2 { // a transaction that is tried again records it once
		within(t, s, func(ctx context.Context, tx identity.Tx) error { return tx.Record(ctx, event) })
	}
	want, err := event.Leaf()
	if err != nil {
		t.Fatal(err)
	}
	var leaf []byte
	var pending int
	if err := s.pool.QueryRow(t.Context(), `SELECT leaf, (SELECT count(*) FROM pending) FROM event`).Scan(&leaf, &pending); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(leaf, want) || pending != 1 {
		t.Errorf("stored: %s and %d pending, want %s and 1", leaf, pending, want)
	}
	for _, statement := range []string{`UPDATE event SET outcome = 'x'`, `DELETE FROM event`, `TRUNCATE event CASCADE`} {
		if _, err := s.pool.Exec(t.Context(), statement); err == nil {
			t.Errorf("%s succeeded", statement)
		}
	}
}

func TestPurgeKeepsWhatIsYoungOrAlive(t *testing.T) {
	t.Parallel()
	s := open(t)
	old, young, live := sample(1), sample(2), sample(3)
	for _, v := range []identity.View{old, young, live} {
		insert(t, s, v)
	}
	end := func(v identity.View, at time.Time) {
		v.Bindings[0].RemovedAt, v.Identity.EndedAt, v.Identity.CleanAt = &at, &at, &at
		v.Identity.Secret = identity.Secret{}
		v.Reservation.Identity, v.Reservation.ReleasedAt = "", &at
		within(t, s, func(ctx context.Context, tx identity.Tx) error {
			if err := tx.MarkRemoving(ctx, v.Instance.Row, at); err != nil {
				return err
			}
			return tx.SaveView(ctx, v, 1)
		})
	}
	end(old, noon)
	end(young, noon.Add(identity.KeepTombstones))
	if err := s.Purge(t.Context(), noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]int{"instance": 2, "binding": 2, "identity": 2, "connection": 2} {
		var got int
		if err := s.pool.QueryRow(t.Context(), `SELECT count(*) FROM `+table).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %d rows are left (%v), want %d", table, got, err, want)
		}
	}
}

// TestLostRacesRunAgain gives a transaction that loses to another a second run.
func TestLostRacesRunAgain(t *testing.T) {
	t.Parallel()
	s := open(t)
	v := sample(1)
	runs := 0
	within(t, s, func(ctx context.Context, tx identity.Tx) error {
		runs++
		existing, err := tx.Instance(ctx, v.Instance.GUID)
		if err != nil || existing != nil {
			return err
		}
		// Another broker makes the same instance in the meantime.
		other := sample(1)
		within(t, s, func(ctx context.Context, tx identity.Tx) error { return tx.InsertInstance(ctx, other.Instance) })
		return tx.InsertInstance(ctx, v.Instance)
	})
	if runs != 2 {
		t.Errorf("the transaction ran %d times, want 2", runs)
	}
}
