package uaa

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What our own client may, in UAA's default zone, and in one of its own. Nothing here is
// asked of UAA: whoever gets a token by client_credentials is told its authorities.

var (
	// neededByDefault: to make clients of any authorities, and to end the tokens of a
	// secret that has leaked.
	neededByDefault = []string{"clients.admin", "tokens.revoke"}
	// impliedByDefault add nothing to those, but for a look at tokens of others.
	impliedByDefault = []string{"clients.read", "clients.write", "clients.secret", "uaa.resource", "uaa.none"}

	zoneAuthority = regexp.MustCompile(`^zones\.([^.]+)\.(?:admin|clients\.(?:admin|read|write))$`)
)

const (
	// goodFor is how long authorities that are right are believed to be so still,
	// badFor how long ones that are wrong are not asked for again.
	goodFor = 5 * time.Minute
	badFor  = 5 * time.Second
)

// privileges are what our client held when it last logged in.
type privileges struct {
	held []string
	at   time.Time // zero: it never did
}

// Permitted tells why nothing may be changed in this environment now: where Config.Strict
// is set, our own client must hold what it needs and no more. Nil where that is so, and
// where it is not known because UAA does not answer, which the calls themselves find out.
//
// UAA keeps what a token may as it was granted, so the answer is as old as our token, and
// that is renewed every few minutes; while the answer is no, whenever somebody asks, but
// for a few seconds. So what was mended counts soon.
func (c *Client) Permitted(ctx context.Context) error {
	if !c.config.Strict {
		return nil
	}
	known := c.known()
	objection := c.objection(known.held)
	keep := goodFor
	if objection != nil {
		keep = badFor
	}
	if !known.at.IsZero() && c.system.Clock().Sub(known.at) < keep {
		return objection
	}
	if err := c.session.Renew(ctx); err != nil && known.at.IsZero() {
		return nil
	}
	return c.objection(c.known().held)
}

func (c *Client) known() privileges {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.privileges
}

// loggedIn keeps what a token answer says that our client holds. One that does not say
// it has told nothing new.
func (c *Client) loggedIn(scope string, at time.Time) {
	held := strings.Fields(scope)
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(held) == 0 {
		held = c.privileges.held
	}
	c.privileges = privileges{held, at}
}

// objection names what our client lacks, and what it holds beyond that.
func (c *Client) objection(held []string) error {
	if len(held) == 0 {
		return nil
	}
	needed, implied := neededByDefault, impliedByDefault
	if c.config.Zone != "" {
		needed, implied = c.inZone(held)
	}
	var problems []error
	if missing := without(needed, held); len(missing) > 0 {
		problems = append(problems, fmt.Errorf("add %s", strings.Join(missing, ", ")))
	}
	if extra := without(held, needed, implied); len(extra) > 0 {
		problems = append(problems, fmt.Errorf("remove %s", strings.Join(extra, ", ")))
	}
	if len(problems) == 0 {
		return nil
	}
	return fmt.Errorf("strict: nothing is changed until uaa's client %s has just the authorities that it needs: %w",
		c.config.ClientID, errors.Join(problems...))
}

// inZone gives what is needed to make clients in that zone, and what adds nothing to it.
// Its tokens are revoked by other means, and no authority of the default zone reaches
// into it but uaa.admin.
func (c *Client) inZone(held []string) (needed, implied []string) {
	id := zoneID(held)
	if id == "" {
		return []string{"zones.<the id of zone " + c.config.Zone + ">.clients.admin"}, []string{"uaa.none"}
	}
	at := "zones." + id + ".clients."
	return []string{at + "admin"}, []string{at + "read", at + "write", "uaa.none"}
}

// zoneID is the id of the only zone in which a client may something; "" if there is
// none or more than one. The configuration has the subdomain alone, and UAA tells the
// id of a zone only to those who may read zones.
func zoneID(held []string) string {
	id := ""
	for _, authority := range held {
		parts := zoneAuthority.FindStringSubmatch(authority)
		switch {
		case parts == nil || parts[1] == id:
		case id != "":
			return ""
		default:
			id = parts[1]
		}
	}
	return id
}

// mayNot says what our client lacks where UAA does not let it make clients.
func (c *Client) mayNot() string {
	if c.config.Zone != "" {
		return fmt.Sprintf("UAA does not let the broker's client make clients in its zone %s, which takes the authority zones.<the zone's id>.clients.admin", c.config.Zone)
	}
	return "UAA does not let the broker's client make clients, which takes the authority clients.admin"
}

func without(list []string, others ...[]string) []string {
	return slices.DeleteFunc(sorted(list), func(text string) bool {
		return slices.ContainsFunc(others, func(other []string) bool { return slices.Contains(other, text) })
	})
}

// zoneOfTokens is what tokens of the zone say in zid.
func (c *Client) zoneOfTokens(ctx context.Context) (string, error) {
	if c.config.Zone == "" {
		return "uaa", nil
	}
	if c.known().at.IsZero() {
		if err := c.session.Renew(ctx); err != nil {
			return "", fmt.Errorf("which id zone %s has: %w", c.config.Zone, err)
		}
	}
	if id := zoneID(c.known().held); id != "" {
		return id, nil
	}
	return c.config.Zone, nil
}
