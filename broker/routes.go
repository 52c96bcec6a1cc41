package broker

import (
	"net/http"
	"path"
	"strings"
)

// route is one of OSB's, with what is asked of a request before brokerapi sees it.
type route struct {
	method string
	path   string
	verb   verb
	check  func(b *broker, r *http.Request) error
}

var osbRoutes = []route{
	{http.MethodGet, "/v2/catalog", verbCatalog, nil},

	{http.MethodPut, instancePath, verbProvision, (*broker).checkProvision},
	{http.MethodPatch, instancePath, verbUpdate, (*broker).checkUpdate},
	{http.MethodDelete, instancePath, verbDeprovision, (*broker).checkDelete},
	{http.MethodGet, instancePath, verbGetInstance, nil},
	{http.MethodGet, instancePath + "/last_operation", verbLastOperation, nil},

	{http.MethodPut, bindingPath, verbBind, (*broker).checkBind},
	{http.MethodDelete, bindingPath, verbUnbind, (*broker).checkDelete},
	{http.MethodGet, bindingPath, verbGetBinding, nil},
	{http.MethodGet, bindingPath + "/last_operation", verbLastBindingOperation, nil},
}

const (
	instancePath = "/v2/service_instances/{instance_id}"
	bindingPath  = instancePath + "/service_bindings/{binding_id}"
)

// routes finds what a request asks for, and answers in OSB's form where there is
// nothing: brokerapi would answer in plain text.
func (b *broker) routes(library http.Handler) http.Handler {
	mux := http.NewServeMux()
	allowed := map[string][]string{}
	for _, route := range osbRoutes {
		mux.Handle(route.method+" "+route.path, b.checked(route, library))
		allowed[route.path] = append(allowed[route.path], route.method)
	}
	for path, methods := range allowed {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { methodNotAllowed(w, r, methods...) })
	}
	mux.HandleFunc("/", noSuchPath)

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The mux would redirect such a path; platforms follow, and with
		// another method.
		if path.Clean(r.URL.Path) != r.URL.Path {
			requestInvalid(idsAre).write(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

const idsAre = "the path must hold no empty part, and each id in it must be 1 to 200 letters, digits, dots, hyphens, underscores or tildes, best a uuid"

func (b *broker) checked(route route, library http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != route.method { // the mux lets HEAD in where GET is
			methodNotAllowed(w, r, route.method)
			return
		}
		instance, binding := r.PathValue("instance_id"), r.PathValue("binding_id")
		if strings.Contains(route.path, "{instance_id}") && !isID(instance) ||
			strings.Contains(route.path, "{binding_id}") && !isID(binding) {
			requestInvalid(idsAre).write(w, r)
			return
		}
		// brokerapi reads ids from the path as it was encoded. These need no
		// encoding, so one id has one spelling from here on.
		r.URL.RawPath = ""

		x := exchangeOf(r.Context())
		x.verb, x.instance, x.binding = route.verb, instance, binding
		if route.check != nil {
			if err := route.check(b, r); err != nil {
				means(route.verb, err, x).write(w, r)
				return
			}
		}
		library.ServeHTTP(w, r)
	})
}

func noSuchPath(w http.ResponseWriter, r *http.Request) {
	answer{http.StatusNotFound, "PathUnknown", "there is nothing at this path; the broker serves /v2/catalog, /v2/service_instances, /healthz and /readyz"}.write(w, r)
}

func methodNotAllowed(w http.ResponseWriter, r *http.Request, methods ...string) {
	w.Header().Set("Allow", strings.Join(methods, ", "))
	answer{http.StatusMethodNotAllowed, "MethodNotAllowed", "this path takes " + strings.Join(methods, ", ")}.write(w, r)
}
