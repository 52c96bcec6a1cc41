package identity

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

const (
	// sweepLook is how often it is asked whether a sweep is due.
	sweepLook = 10 * time.Second
	// sweepGrace is how long a sweep may take over one page. Then its process is
	// taken for dead, and another begins anew.
	sweepGrace = 2 * time.Minute
	// sweepRetry is when one that failed is begun anew.
	sweepRetry = 30 * time.Second
	// sweepPage is how many rows are read at a time.
	sweepPage = 500
)

// keepSweeping compares each environment with its rows now and then.
func (e *Engine) keepSweeping(ctx context.Context) {
	if e.SweepPeriod < 0 {
		return
	}
	tick := time.NewTicker(max(min(sweepLook, e.SweepPeriod/4), time.Millisecond))
	defer tick.Stop()
	for {
		for _, name := range slices.Sorted(maps.Keys(e.Environments)) {
			if err := e.sweepIfDue(ctx, e.Environments[name]); err != nil && ctx.Err() == nil {
				e.Logger.Info("a sweep was broken off and is tried again", "environment", name, "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (e *Engine) sweepIfDue(ctx context.Context, env Environment) error {
	now := e.Clock()
	begun, probeAll, err := e.Store.BeginSweep(ctx, env.Name, now, now.Add(sweepGrace))
	if err != nil || !begun {
		return err
	}
	s := sweep{Engine: e, env: env, began: now}
	if err := s.run(ctx, probeAll); err != nil {
		ctx, cancel := detached(ctx, e.LeaseGrace)
		defer cancel()
		return errors.Join(err, e.Store.BreakOffSweep(ctx, env.Name, e.Clock().Add(sweepRetry), probeAll))
	}
	return e.Store.EndSweep(ctx, env.Name, now.Add(e.SweepPeriod))
}

// sweep compares what an environment's remotes list with the rows. It decides
// nothing and mends nothing: lists are no proof, and rows change meanwhile. What
// does not agree is doubted, and the row's own converge looks at it.
type sweep struct {
	*Engine
	env   Environment
	began time.Time
}

func (s sweep) run(ctx context.Context, probeAll bool) error {
	clients, err := s.clients(ctx)
	if err != nil {
		return fmt.Errorf("listing the clients: %w", err)
	}
	connections, err := s.connections(ctx)
	if err != nil {
		return fmt.Errorf("listing the connections: %w", err)
	}
	if err := s.unseen(ctx, clients, connections, probeAll); err != nil {
		return err
	}
	some, err := s.Store.Sample(ctx, s.env.Name, s.SweepProbes)
	if err != nil {
		return err
	}
	return s.doubt(ctx, some, TheClient)
}

// clients compares every client that UAA lists, and gives those that it saw.
func (s sweep) clients(ctx context.Context) (map[ID]bool, error) {
	seen := map[ID]bool{}
	var lost orphans
	err := s.env.Clients.List(ctx, func(page []FoundClient) error {
		found := map[ID]FoundClient{}
		for _, c := range page {
			if id, ours := strings.CutPrefix(string(c.ID), clientPrefix); ours {
				found[ID(id)] = c
			}
		}
		err := s.compare(ctx, TheClient, slices.Collect(maps.Keys(found)), func(v View) bool {
			seen[v.Identity.ID] = true
			return found[v.Identity.ID].is(s.client(v))
		})
		if err != nil {
			return err
		}
		return s.noteOrphans(ctx, found, &lost)
	})
	s.tell(lost)
	return seen, err
}

// orphans are clients that are named as ours are, and that no row knows.
type orphans struct {
	count int
	some  []ClientID
}

// orphansTold is how many are named in the log.
const orphansTold = 10

// noteOrphans looks for them on a page. One that names another broker is that one's; where
// UAA keeps no labels nothing tells whose it is.
func (s sweep) noteOrphans(ctx context.Context, found map[ID]FoundClient, lost *orphans) error {
	ids, err := s.Store.Unclaimed(ctx, slices.Collect(maps.Keys(found)))
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(slices.Values(ids)) {
		if broker, labelled := found[id].Labels[labelBroker]; labelled && broker != string(s.Broker) {
			continue
		}
		lost.count++
		if len(lost.some) < orphansTold {
			lost.some = append(lost.some, found[id].ID)
		}
	}
	return nil
}

// tell reports them. Nothing takes them away: a row that is missing may be missing because
// the database was restored.
func (s sweep) tell(lost orphans) {
	if lost.count > 0 {
		s.Logger.Warn("clients are there that no row knows; they are left alone: look whose they are, and delete in uaa those that nobody needs",
			"environment", s.env.Name, "count", lost.count, "some", lost.some)
	}
}

// is tells whether a client is as it should be. Labels that are not ours are of no
// account, and none are where UAA keeps none.
func (f FoundClient) is(want Client) bool {
	forgotten := want.Forgotten(f.Client)
	for key, value := range want.Labels {
		if f.Labels[key] != value && !forgotten {
			return false
		}
	}
	named := f.Name == want.Name || forgotten && f.Name == ""
	return f.Plain && named && f.TokenLifetime == want.TokenLifetime && sameSet(f.Authorities, want.Authorities)
}

// connections compares every connection that Airflow lists as ours.
func (s sweep) connections(ctx context.Context) (map[ID]bool, error) {
	seen := map[ID]bool{}
	return seen, s.env.Connections.List(ctx, func(page []FoundConnection) error {
		found := map[ID][]FoundConnection{}
		for _, c := range page {
			found[c.identity()] = append(found[c.identity()], c)
		}
		return s.compare(ctx, TheConnection, slices.Collect(maps.Keys(found)), func(v View) bool {
			for _, c := range found[v.Identity.ID] {
				if c.Marker.Connection == v.Identity.Connection {
					seen[v.Identity.ID] = true
					s.warn(v, c)
					want := v.connection(v.marker(s.Broker))
					if want.Team == "" {
						c.Team = "" // which is then not ours
					}
					return c.Marked && c.Plain && reflect.DeepEqual(c.Connection, want)
				}
			}
			return v.Identity.Published.Phase == Present // a copy under another name says nothing of ours
		})
	})
}

// warn reports what is not ours and weakens what is.
func (s sweep) warn(v View, c FoundConnection) {
	if c.Proxied || c.Unverified {
		s.Logger.Warn("a connection's extra weakens it: what its tasks say goes through a proxy, or to a host whose certificate is not checked",
			"environment", s.env.Name, "connection", v.Identity.Connection, "identity", v.Identity.ID, "proxies", c.Proxied, "unverified", c.Unverified)
	}
}

// identity is whose connection it is: by its marker, or, where that was removed,
// by its login.
func (f FoundConnection) identity() ID {
	if f.Marked {
		return f.Marker.Identity
	}
	return ID(strings.TrimPrefix(string(f.Login), clientPrefix))
}

// compare doubts those of the identities for which a list and the row disagree on
// whether the thing is as it should be.
func (s sweep) compare(ctx context.Context, thing ThingName, ids []ID, agrees func(View) bool) error {
	if err := s.Store.EndSweep(ctx, s.env.Name, s.Clock().Add(sweepGrace)); err != nil {
		return err
	}
	rows, err := s.Store.Expected(ctx, ids)
	if err != nil {
		return err
	}
	var doubted []ID
	for _, v := range rows {
		if v.Identity.Environment == s.env.Name && agrees(v) != (v.thing(thing).Phase == Present) {
			doubted = append(doubted, v.Identity.ID)
		}
	}
	return s.doubt(ctx, doubted, thing)
}

// unseen doubts what no list has shown though it was there when the sweep began.
func (s sweep) unseen(ctx context.Context, clients, connections map[ID]bool, probeAll bool) error {
	for after := ID(""); ; {
		ids, err := s.Store.Standing(ctx, s.env.Name, s.began, after, sweepPage)
		if err != nil || len(ids) == 0 {
			return err
		}
		after = ids[len(ids)-1]
		for thing, seen := range map[ThingName]map[ID]bool{TheClient: clients, TheConnection: connections} {
			missing := slices.DeleteFunc(slices.Clone(ids), func(id ID) bool {
				return seen[id] && (thing != TheClient || !probeAll)
			})
			if err := s.doubt(ctx, missing, thing); err != nil {
				return err
			}
		}
	}
}

func (s sweep) doubt(ctx context.Context, ids []ID, thing ThingName) error {
	if len(ids) == 0 {
		return nil
	}
	defer s.Wake()
	return s.Store.Doubt(ctx, ids, thing, s.Clock())
}
