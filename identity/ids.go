package identity

import "github.com/google/uuid"

// Named types for every id that crosses a function's boundary, so that two of
// them cannot be swapped by accident. They are parsed once, at the edge.
type (
	// InstanceGUID is the platform's id of a service instance.
	InstanceGUID string
	// BindingGUID is the platform's id of a service binding.
	BindingGUID string
	// ID is an identity's own uuid: the key of its row, part of its UAA
	// client's name and of the marker in its connection.
	ID string
	// BrokerID is the uuid that the first migration gave this installation.
	BrokerID string
	// ClientID is the id of a UAA client, "afi-" and the identity's uuid.
	ClientID string
	// ConnectionID is the name under which DAG code finds a connection.
	ConnectionID string
	// AirflowURL is the base URL of an Airflow, the scope in which connection
	// ids are unique.
	AirflowURL string
	// Team is the name of a team of Airflow's.
	Team string
	// EnvironmentName names an environment of the configuration.
	EnvironmentName string
	// PlanID is a plan's id in the catalog.
	PlanID string
	// OrgGUID, SpaceGUID and AppGUID are Cloud Foundry's.
	OrgGUID   string
	SpaceGUID string
	AppGUID   string
	// Authority is one UAA authority, as "orders.read".
	Authority string
)

// NewID gives the id of an identity that does not exist yet.
func NewID() ID { return ID(uuid.NewString()) }

// clientPrefix begins the id of every client that this broker makes.
const clientPrefix = "afi-"

// ClientID is the only client id this identity ever has. It is never used
// again: Cloud Controller's roles and CredHub's lists are keyed by the bare
// string, so a second owner would inherit them.
func (id ID) ClientID() ClientID { return ClientID(clientPrefix + string(id)) }
