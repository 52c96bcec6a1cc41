package airflow

import (
	"net/http"
	"slices"
	"strings"
)

const connectionsPath = "/api/v2/connections"

// route does by hand what a mux would: Airflow never cleans a path, knows no
// trailing slash, and shows its UI for every GET that is nothing else.
func (s *Server) route(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if s.version.Load() == Version2 {
		s.routeV1(w, r)
		return
	}
	switch {
	case path == issuerPath:
		s.issue(w, r)
	case path == "/auth/token" || path == "/auth/token/cli":
		s.routeLogin(w, r)
	case path == connectionsPath || strings.HasPrefix(path, connectionsPath+"/"):
		s.routeConnections(w, r, strings.TrimPrefix(strings.TrimPrefix(path, connectionsPath), "/"))
	case strings.HasPrefix(path, "/execution/connections/"):
		s.routeExecution(w, r, strings.TrimPrefix(path, "/execution/connections/"))
	case path == "/api/v2/version":
		s.get(w, r, map[string]any{"version": "3.3.2", "git_version": nil})
	case path == "/api/v2/monitor/health":
		s.get(w, r, health())
	case path == "/health":
		sendError(w, http.StatusNotFound,
			"Moved in Airflow 3. Please change config to check `/api/v2/monitor/health`")
	case strings.HasPrefix(path, "/api/v1"):
		if r.Method != http.MethodGet {
			notAllowed(w)
			return
		}
		sendError(w, http.StatusNotFound,
			"/api/v1 has been removed in Airflow 3, please use its upgraded version /api/v2 instead.")
	case isLeftOut(path):
		leftOut(w, r)
	case strings.HasPrefix(path, "/api"):
		sendError(w, http.StatusNotFound, "API route not found")
	case r.Method == http.MethodGet:
		sendPage(w)
	default:
		notAllowed(w)
	}
}

func (s *Server) routeLogin(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodGet && s.fab:
		sendPageAs(w, http.StatusNotFound)
	case r.Method == http.MethodGet:
		refuse(http.StatusForbidden,
			"This method is only allowed if ``[core] simple_auth_manager_all_admins`` is True").send(w)
	case r.Method != http.MethodPost:
		notAllowed(w)
	case strings.HasSuffix(r.URL.Path, "/cli"):
		s.login(w, r, cliLifetime)
	default:
		s.login(w, r, s.lifetime)
	}
}

// routeConnections routes below /api/v2/connections; rest is what follows.
func (s *Server) routeConnections(w http.ResponseWriter, r *http.Request, rest string) {
	collection := r.URL.Path == connectionsPath
	switch {
	case collection && r.Method == http.MethodPost:
		s.createConnection(w, r)
	case collection && r.Method == http.MethodGet:
		s.listConnections(w, r)
	case collection && r.Method == http.MethodPatch: // bulk
		leftOut(w, r)
	case collection:
		notAllowed(w)
	case rest == "" || strings.Contains(rest, "/"):
		sendError(w, http.StatusNotFound, "API route not found")
	case r.Method == http.MethodGet:
		s.getConnection(w, r, rest)
	case r.Method == http.MethodDelete:
		s.deleteConnection(w, r, rest)
	case r.Method == http.MethodPatch:
		s.patchConnection(w, r, rest)
	case r.Method == http.MethodPost && (rest == "test" || rest == "defaults"):
		leftOut(w, r)
	default:
		notAllowed(w)
	}
}

func (s *Server) get(w http.ResponseWriter, r *http.Request, body any) {
	if r.Method != http.MethodGet {
		notAllowed(w)
		return
	}
	sendJSON(w, http.StatusOK, body)
}

// health is that of an api-server alone: 200, although no scheduler runs.
func health() any {
	return map[string]any{
		"metadatabase":  map[string]any{"status": "healthy"},
		"scheduler":     map[string]any{"status": "unhealthy", "latest_scheduler_heartbeat": nil},
		"triggerer":     map[string]any{"status": nil, "latest_triggerer_heartbeat": nil},
		"dag_processor": map[string]any{"status": nil, "latest_dag_processor_heartbeat": nil},
	}
}

func notAllowed(w http.ResponseWriter) {
	refuse(http.StatusMethodNotAllowed, "Method Not Allowed").send(w)
}

func isLeftOut(path string) bool {
	rest, isAPI := strings.CutPrefix(path, "/api/v2/")
	if !isAPI || strings.HasSuffix(rest, "/") {
		return strings.HasPrefix(path, "/execution/")
	}
	first, _, _ := strings.Cut(rest, "/")
	return slices.Contains([]string{
		"dags", "dagRuns", "variables", "pools", "eventLogs", "providers", "plugins", "config", "assets", "jobs",
		"importErrors", "backfills", "auth",
	}, first)
}

// leftOut fails loudly, with a status that Airflow never uses: a caller of something
// that is not imitated must not take the answer for Airflow's.
func leftOut(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "this stand-in of airflow does not imitate "+r.Method+" "+r.URL.Path, http.StatusNotImplemented)
}
