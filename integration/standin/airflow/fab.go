package airflow

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// readFABLogin takes JSON alone, and a field that is missing for a bad request.
func readFABLogin(r *http.Request, _ bool) (sentLogin, *failure) {
	var sent struct {
		Username, Password string
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") || json.Unmarshal(body, &sent) != nil {
		return sentLogin{}, notObject(string(body))
	}
	if sent.Username == "" || sent.Password == "" {
		return sentLogin{}, refuse(http.StatusBadRequest, "Username and password must be provided")
	}
	return sentLogin{username: sent.Username, password: sent.Password}, nil
}

// numberOf is a user's id in FAB's tables, which is all that its tokens say of one.
func (s *Server) numberOf(name string) string {
	return strconv.Itoa(1 + slices.Index(slices.Sorted(maps.Keys(s.users)), name))
}

func (s *Server) roleOfNumber(number string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for name, user := range s.users {
		if s.numberOf(name) == number {
			return user.Role
		}
	}
	return ""
}
