package uaa

import (
	"context"
	"errors"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Zone is an identity zone: clients of its own, under a host name of its own, and the
// signing key of all. A zone that is made by Config is empty but for its Clients.
type Zone struct {
	ID        string // as tokens say it, in zid
	Subdomain string // in front of the host's name
	Clients   []Client
}

// defaultZone has an empty subdomain.
var defaultZone = Zone{ID: "uaa"}

// Zone gives a zone as a server of its own, to look into it and at its addresses; nil if
// there is none. It ends with the server.
func (s *Server) Zone(subdomain string) *Server { return s.zones[subdomain] }

// named gives an address the name "localhost", which can have names below it.
func named(address string) string { return strings.Replace(address, "//127.0.0.1", "//localhost", 1) }

func below(address, subdomain string) string {
	return strings.Replace(address, "//", "//"+subdomain+".", 1)
}

func (s *Server) addZone(z Zone) error {
	if z.ID == "" || z.Subdomain == "" || s.zones[z.Subdomain] != nil {
		return errors.New("zones of the stand-in uaa: each needs an id, and a subdomain of its own")
	}
	inner := &Server{
		Faults: s.Faults, server: s.server, now: s.now, key: s.key, hasher: s.hasher, beforeSecretWrite: s.beforeSecretWrite,
		store: newStore(), zone: z, url: below(s.url, z.Subdomain), issuer: below(s.issuer, z.Subdomain),
	}
	for _, client := range z.Clients {
		if err := inner.AddClient(client); err != nil {
			return err
		}
	}
	s.zones[z.Subdomain] = inner
	return nil
}

// handle finds the zone that a request is for: by the host's name, or by a header that
// calls of the default zone may have. Names that no zone has are not found, whatever is
// asked there.
func (s *Server) handle(w http.ResponseWriter, r *http.Request) {
	if subdomain, below := s.subdomain(r.Host); below {
		if zone := s.zones[subdomain]; zone != nil {
			zone.route(w, r)
			return
		}
		sendPage(w, r, http.StatusNotFound)
		return
	}
	if !switchesZone(r) {
		s.route(w, r)
		return
	}
	zone, claims, fail := s.switched(r)
	if fail != nil {
		fail.send(w, r)
		return
	}
	zone.route(w, r.WithContext(context.WithValue(r.Context(), switchedKey{}, claims)))
}

func (s *Server) subdomain(host string) (subdomain string, below bool) {
	if len(s.zones) == 0 {
		return "", false
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	own, err := url.Parse(s.url)
	if err != nil {
		return "", false
	}
	return strings.CutSuffix(host, "."+own.Hostname())
}

// switchesZone tells of calls that a header moves into a zone. For a token it does not:
// a client of a zone gets one at the zone's own host.
func switchesZone(r *http.Request) bool {
	return (r.Header.Get("X-Identity-Zone-Id") != "" || r.Header.Get("X-Identity-Zone-Subdomain") != "") &&
		(strings.HasPrefix(r.URL.Path, "/oauth/clients") || isRevocation(r.URL.Path))
}

// switchedKey is under what a call that was moved has the claims that it is made with.
type switchedKey struct{}

// switched moves a call of a token of the default zone into the zone that its header
// names: with uaa.admin whole, else with what it may do in that very zone and nothing
// else, tokens.revoke not even with zones.<id>.admin.
func (s *Server) switched(r *http.Request) (*Server, map[string]any, *failure) {
	claims, fail := s.bearer(r)
	if fail != nil {
		return nil, nil, fail
	}
	zone := s.zoneOf(r.Header.Get("X-Identity-Zone-Id"), r.Header.Get("X-Identity-Zone-Subdomain"))
	if zone == nil {
		return nil, nil, page(http.StatusNotFound)
	}
	scopes := stringsOf(claims["scope"])
	if slices.Contains(scopes, "uaa.admin") {
		return zone, claims, nil
	}
	var within []any
	for _, scope := range scopes {
		rest, ofZone := strings.CutPrefix(scope, "zones."+zone.zone.ID+".")
		switch {
		case ofZone && rest == "admin":
			within = append(within, scope)
		case ofZone && slices.Contains([]string{"clients.admin", "clients.read", "clients.write"}, rest):
			within = append(within, rest)
		}
	}
	if len(within) == 0 {
		return nil, nil, page(http.StatusForbidden)
	}
	claims = maps.Clone(claims)
	claims["scope"] = within
	return zone, claims, nil
}

func (s *Server) zoneOf(id, subdomain string) *Server {
	if id == defaultZone.ID {
		return s
	}
	for _, zone := range s.zones {
		if zone.zone.ID == id || id == "" && zone.zone.Subdomain == subdomain {
			return zone
		}
	}
	return nil
}
