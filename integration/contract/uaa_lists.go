package contract

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Lists of clients.

// listed asks for a page of the list of the clients whose ids begin so.
func (s *uaaSite) listed(ctx context.Context, prefix string, start, count int) (answer, error) {
	return s.manage(ctx, http.MethodGet, clients+"?"+url.Values{
		"filter": {`client_id sw "` + prefix + `"`}, "sortBy": {"client_id"}, "sortOrder": {"ascending"},
		"startIndex": {strconv.Itoa(start)}, "count": {strconv.Itoa(count)},
	}.Encode(), nil)
}

// three makes three clients whose ids begin alike, and as no others do.
func (s *uaaSite) three(ctx context.Context) (prefix string, made []client, err error) {
	s.number++
	prefix = fmt.Sprintf("%s-%d-", s.prefix, s.number)
	for _, letter := range "cab" {
		c := s.newClient()
		c.id = prefix + string(letter)
		s.made[len(s.made)-1] = c.id
		if err := s.make(ctx, c); err != nil {
			return "", nil, err
		}
		made = append(made, c)
	}
	return prefix, made, nil
}

func idsOf(a answer) []string {
	rows, _ := a.object()["resources"].([]any)
	var ids []string
	for _, row := range rows {
		object, _ := row.(map[string]any)
		ids = append(ids, textOf(object["client_id"]))
	}
	return ids
}

func lists(ctx context.Context, s *uaaSite) error {
	prefix, _, err := s.three(ctx)
	if err != nil {
		return err
	}
	for _, page := range []struct {
		start, count int
		want         []string
	}{{1, 2, []string{prefix + "a", prefix + "b"}}, {3, 2, []string{prefix + "c"}}} {
		a, err := s.listed(ctx, prefix, page.start, page.count)
		if err != nil {
			return err
		}
		if err := a.be(http.StatusOK); err != nil {
			return err
		}
		start, _ := a.object()["startIndex"].(float64)
		total, _ := a.object()["totalResults"].(float64)
		if got := idsOf(a); int(start) != page.start || int(total) != 3 || !slices.Equal(got, page.want) {
			return fmt.Errorf("%s from %d: got startIndex %v, totalResults %v and %s; expected %d, 3 and %s",
				a.call, page.start, start, total, s.say(got), page.start, s.say(page.want))
		}
	}
	return nil
}

func listsWhole(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.listed(ctx, c.id, 1, 200) // as many as the program asks for
	if err != nil {
		return err
	}
	rows, _ := a.object()["resources"].([]any)
	for _, row := range rows {
		one := a
		one.body = marshal(row)
		if one.text("client_id") == c.id {
			return one.isClient(c)
		}
	}
	return a.expected("a list with the client in it")
}

func listsBeyond(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.listed(ctx, c.id, 1000, 10)
	if err != nil {
		return err
	}
	rows, list := a.object()["resources"].([]any)
	if a.status != http.StatusOK || !list || len(rows) > 0 {
		return a.expected("200 with a list of none")
	}
	return nil
}

func itemsPerPage(ctx context.Context, s *uaaSite) error {
	prefix, _, err := s.three(ctx)
	if err != nil {
		return err
	}
	a, err := s.listed(ctx, prefix, 3, 2)
	if err != nil {
		return err
	}
	items, _ := a.object()["itemsPerPage"].(float64)
	if shown := len(idsOf(a)); shown > 0 && int(items) != shown {
		return handled(fmt.Sprintf("it says %v of a page with %d: the program counts them", items, shown))
	}
	return nil
}

func filterMindsCase(ctx context.Context, s *uaaSite, c client) error {
	a, err := s.listed(ctx, strings.ToUpper(c.id), 1, 10)
	if err != nil {
		return err
	}
	if slices.Contains(idsOf(a), c.id) {
		return handled("it finds ids in any case: the program looks at each id again")
	}
	return nil
}
