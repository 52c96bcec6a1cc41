package uaa

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const (
	callList = "GET /oauth/clients"
	listPath = "/oauth/clients"

	// prefix is how the ids of our clients begin.
	prefix = "afi-"
	// pageMost is how many clients are asked for at once. A page of so many stays
	// below the megabyte that package remote reads even if each has all the labels
	// that UAA can store. UAA would give 500.
	pageMost = 200
)

// List gives the clients whose ids begin as ours do. See identity.Clients.
//
// Clients that are made or deleted meanwhile move the others from page to page: one
// may be shown twice, or not at all.
func (c *Client) List(ctx context.Context, page func([]identity.FoundClient) error) error {
	most := 0
	for start := 1; ; {
		found, err := c.listed(ctx, start)
		if err != nil {
			return fmt.Errorf("listing clients from number %d: %w", start, err)
		}
		if start == 1 {
			most = 2*found.total + pageMost
		}
		if len(found.ours) > 0 {
			if err := page(found.ours); err != nil {
				return err
			}
		}
		start += found.shown
		switch {
		case start > found.total:
			return nil
		case found.shown == 0:
			return fmt.Errorf("listing clients: none from number %d on, and there should be %d", start, found.total)
		case start > most:
			return fmt.Errorf("listing clients: no end after %d, and there were %d at first", start-1, (most-pageMost)/2)
		}
	}
}

// listedPage is one page of a list.
type listedPage struct {
	ours  []identity.FoundClient
	shown int // clients on the page, others' included
	total int // clients on all pages, as UAA counts them now
}

func (c *Client) listed(ctx context.Context, start int) (listedPage, error) {
	query := url.Values{
		"filter":     {`client_id sw "` + prefix + `"`},
		"sortBy":     {"client_id"},
		"sortOrder":  {"ascending"},
		"startIndex": {strconv.Itoa(start)},
		"count":      {strconv.Itoa(pageMost)},
	}
	answer, err := c.session.Do(ctx, remote.Request{
		Call: callList, Method: http.MethodGet, URL: c.url + listPath + "?" + query.Encode(), Header: c.header(),
	})
	if err != nil {
		return listedPage{}, err
	}
	if answer.Status != http.StatusOK {
		return listedPage{}, refusal(answer)
	}
	page, err := readPage(answer, start)
	if err != nil {
		return listedPage{}, answer.Unreadable(err)
	}
	return page, nil
}

// readPage takes a page for UAA's own only if it says that it is the one asked for.
// How many clients are on it is counted: what UAA says of it is how many there could be.
func readPage(answer remote.Answer, start int) (listedPage, error) {
	var body struct {
		Resources []json.RawMessage `json:"resources"`
		Start     int               `json:"startIndex"`
		Total     *int              `json:"totalResults"`
	}
	if err := answer.JSON(&body); err != nil {
		return listedPage{}, err
	}
	if body.Resources == nil || body.Total == nil || body.Start != start {
		return listedPage{}, errors.New("the body is not that page of a list")
	}
	page := listedPage{shown: len(body.Resources), total: *body.Total}
	for _, resource := range body.Resources {
		var client stored
		if json.Unmarshal(resource, &client) != nil || client.ID == "" {
			return listedPage{}, errors.New("the list holds what is no client")
		}
		// UAA's filter does not mind upper and lower case, and takes some characters
		// for wildcards.
		if strings.HasPrefix(string(client.ID), prefix) {
			page.ours = append(page.ours, client.found(resource))
		}
	}
	return page, nil
}

// found gives a client of a list as it would have been asked for.
func (s stored) found(client []byte) identity.FoundClient {
	authorities := slices.Sorted(slices.Values(s.Authorities))
	if slices.Equal(authorities, []identity.Authority{none}) {
		authorities = nil
	}
	return identity.FoundClient{
		Client: identity.Client{
			ID:            s.ID,
			Name:          string(s.Name),
			Authorities:   authorities,
			TokenLifetime: time.Duration(s.TokenValidity) * time.Second,
			Labels:        labels(client),
		},
		Plain: slices.Equal(sorted(s.Scope), []string{string(none)}) && slices.Equal(sorted(s.GrantTypes), grantTypes),
	}
}
