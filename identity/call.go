package identity

import "context"

// reply is what a call came to.
type reply struct {
	outcome Outcome
	err     error
	// generation is that of the marker that was read, if one was.
	generation int
}

func replied(outcome Outcome, err error) reply { return reply{outcome: outcome, err: err} }

// wanted is a view with its things as the row says they should be.
type wanted struct {
	View
	client     Client
	connection Connection
}

// calls says which remote call carries an act out.
var calls = map[ThingName]map[Act]func(context.Context, Environment, wanted) reply{
	TheClient: {
		Make: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.Create(ctx, w.client, w.Identity.oldest()))
		},
		Look: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.Probe(ctx, w.client, w.Identity.oldest()))
		},
		Set: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.Update(ctx, w.client))
		},
		Check: checkClient,
		Restore: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.Create(ctx, w.client, w.Identity.oldest()))
		},
		Take: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.Delete(ctx, w.client.ID))
		},
	},
	TheConnection: {
		Make:  putConnection,
		Look:  readConnection,
		Check: readConnection,
		Set: func(ctx context.Context, env Environment, w wanted) reply {
			generation, outcome, err := env.Connections.Update(ctx, w.connection, w.Identity.Secret)
			return reply{outcome, err, generation}
		},
		Restore: putConnection,
		Take: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Connections.Remove(ctx, w.connection.Marker))
		},
	},
	TheSecret: {
		Add: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.AddSecret(ctx, w.client.ID, w.Identity.newest()))
		},
		Verify: probeNewest,
		Sort:   probeNewest,
		Reset: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.ReplaceSecret(ctx, w.client.ID, w.Identity.Secret))
		},
		Drop:    dropSecret,
		Retire:  dropSecret,
		Confirm: confirmRetired,
		Revoke: func(ctx context.Context, env Environment, w wanted) reply {
			return replied(env.Clients.RevokeTokens(ctx, w.client.ID))
		},
	},
}

func putConnection(ctx context.Context, env Environment, w wanted) reply {
	return replied(env.Connections.Put(ctx, w.connection, w.Identity.Secret))
}

func readConnection(ctx context.Context, env Environment, w wanted) reply {
	generation, outcome, err := env.Connections.Read(ctx, w.connection)
	return reply{outcome, err, generation}
}

func probeNewest(ctx context.Context, env Environment, w wanted) reply {
	return replied(env.Clients.Probe(ctx, w.client, w.Identity.newest()))
}

func dropSecret(ctx context.Context, env Environment, w wanted) reply {
	return replied(env.Clients.DropSecret(ctx, w.client.ID))
}

// checkClient compares the client, and asks for a token with the secret that
// Airflow has. That it is refused weighs more than a list that differs.
func checkClient(ctx context.Context, env Environment, w wanted) reply {
	read := replied(env.Clients.Read(ctx, w.client))
	if read.outcome != Done && read.outcome != Differs {
		return read
	}
	switch probed := replied(env.Clients.Probe(ctx, w.client, w.Identity.expected())); probed.outcome {
	case Done, Differs:
		return read
	case NotThere:
		return reply{outcome: Refused}
	default:
		return probed
	}
}

// confirmRetired asks for a token with either secret: the older must be refused
// and the one that Airflow has granted. Where the older one is not known, the
// other alone is asked with.
func confirmRetired(ctx context.Context, env Environment, w wanted) reply {
	if !w.Identity.Old.IsZero() {
		old := replied(env.Clients.Probe(ctx, w.client, w.Identity.Old))
		switch old.outcome {
		case NotThere:
		case Done, Differs:
			if w.Identity.Overlap == Unproven {
				return reply{outcome: Alone} // UAA has one only, and it is the older
			}
			return reply{outcome: Exists}
		default:
			return old
		}
	}
	switch published := replied(env.Clients.Probe(ctx, w.client, w.Identity.Secret)); published.outcome {
	case Done, Differs:
		return reply{outcome: Done}
	case NotThere:
		return reply{outcome: Refused}
	default:
		return published
	}
}
