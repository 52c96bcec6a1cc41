package airflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"airflow-identity/identity"
	"airflow-identity/remote"
)

const callList = "GET /connections"

// List gives the connections that may concern us. See identity.Connections. page is
// called once for each page of Airflow's, also where none of it is ours. Every page
// is a call of its own, with a time-out of its own.
//
// Pages are counted by rows, so that a connection that is made or deleted meanwhile
// moves others: one may come twice, and one not at all. How many rows there are to
// read is what the first page says, so that it ends, however many are being made.
func (c *Client) List(ctx context.Context, page func([]identity.FoundConnection) error) error {
	most := 0
	for offset := 0; ; {
		rows, total, err := c.listFrom(ctx, offset)
		if err != nil {
			return fmt.Errorf("listing connections from row %d: %w", offset, err)
		}
		found := make([]identity.FoundConnection, 0, len(rows))
		for _, row := range rows {
			if connection, concerns := row.found(); concerns {
				found = append(found, connection)
			}
		}
		if err := page(found); err != nil {
			return err
		}

		if offset == 0 {
			most = total
		}
		offset += len(rows) // fewer than were asked for where Airflow's own limit is lower
		if len(rows) == 0 || offset >= most {
			return nil
		}
	}
}

func (c *Client) listFrom(ctx context.Context, offset int) (rows []shown, total int, err error) {
	answer, d, err := c.do(ctx, remote.Request{Call: callList, Method: http.MethodGet},
		func(d *dialect) string { return d.connections + "?" + d.page(offset) })
	if err != nil {
		return nil, 0, err
	}
	if answer.Status != http.StatusOK {
		_, refused := d.refused(answer)
		return nil, 0, refused
	}
	rows, total, err = readPage(answer)
	if err != nil {
		return nil, 0, answer.Unreadable(err)
	}
	return rows, total, nil
}

// readPage takes a 200 for Airflow's own only if it is a list of connections and
// says how many there are. An empty list is one; none is not.
func readPage(answer remote.Answer) (rows []shown, total int, err error) {
	var body struct {
		Connections *[]shown `json:"connections"`
		Total       *int     `json:"total_entries"`
	}
	if err := answer.JSON(&body); err != nil {
		return nil, 0, err
	}
	if body.Connections == nil || body.Total == nil {
		return nil, 0, errors.New("the body is not a list of connections")
	}
	for _, row := range *body.Connections {
		if row.ID == "" {
			return nil, 0, errors.New("the list holds what is not a connection")
		}
	}
	return *body.Connections, *body.Total, nil
}
