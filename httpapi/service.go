package httpapi

import (
	"holdfast/domain/directory"
)

// The resources about calls: where they come from, and where they lead.
var (
	queues  = resource{kind: directory.Queue, path: "/v1/queues", plural: "queues"}
	numbers = resource{kind: directory.Number, path: "/v1/numbers", plural: "numbers", prepare: oneWay}
)

type memberView struct {
	Agent    line `json:"agent" minLength:"1" maxLength:"32"`
	Penalty  int  `json:"penalty,omitempty" minimum:"0" maximum:"1000" doc:"Whoever has less is asked first."`
	Position int  `json:"position,omitempty" minimum:"0" maximum:"100000" doc:"The order of strategy linear."`
	Static   bool `json:"static,omitempty" doc:"Never checked out by itself (SEED-62)."`
	Manual   bool `json:"manual,omitempty" doc:"Not checked in at sign-in."`
}

type queueThing struct {
	Name        string       `json:"name" example:"support"`
	DisplayName string       `json:"display_name"`
	Strategy    string       `json:"strategy" enum:"longest_idle,fewest_calls,linear,random"`
	RingMS      int64        `json:"ring_ms"`
	MaxWaitMS   int64        `json:"max_wait_ms" doc:"0: without end."`
	Priority    int          `json:"priority"`
	Music       string       `json:"music"`
	Members     []memberView `json:"members"`
	Skills      []skillLevel `json:"skills" doc:"What its calls ask for, at least; the match does not look at it yet."`
	Stamp
}

// QueueFields are what can be set of a queue.
type QueueFields struct {
	DisplayName *line         `json:"display_name,omitempty" maxLength:"200"`
	Strategy    *string       `json:"strategy,omitempty" enum:"longest_idle,fewest_calls,linear,random"`
	MaxWaitMS   *int64        `json:"max_wait_ms,omitempty" minimum:"0" maximum:"86400000"`
	Priority    *int          `json:"priority,omitempty" minimum:"-1000" maximum:"1000"`
	Music       *line         `json:"music,omitempty" maxLength:"64" doc:"What its callers hear who wait, a thing of /v1/music; empty: the music that comes with Holdfast."`
	Members     *[]memberView `json:"members,omitempty" maxItems:"2000" doc:"All of them: who is left out is no member any more."`
	Skills      *[]skillLevel `json:"skills,omitempty" maxItems:"100" doc:"What its calls ask for, at least: all of it. The match does not look at it yet."`
}

type newQueue struct {
	Name   line  `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	RingMS int64 `json:"ring_ms,omitempty" minimum:"1000" maximum:"300000" default:"15000" doc:"How long an offer rings."`
	QueueFields
}

type changedQueue struct {
	RingMS *int64 `json:"ring_ms,omitempty" minimum:"1000" maximum:"300000" doc:"How long an offer rings."`
	QueueFields
}

type listQueues struct {
	Listing
	Agent line `query:"agent" maxLength:"32" doc:"Those that it serves."`
}

type numberView struct {
	Number string `json:"number" example:"8000"`
	Queue  string `json:"queue"`
	Agent  string `json:"agent"`
	Trunk  string `json:"trunk"`
	Stamp
}

// NumberFields are where a number can lead.
type NumberFields struct {
	Queue *line `json:"queue,omitempty" maxLength:"64"`
	Agent *line `json:"agent,omitempty" maxLength:"32"`
	Trunk *line `json:"trunk,omitempty" maxLength:"64"`
}

type newNumber struct {
	Number line `json:"number" key:"true" minLength:"1" maxLength:"32" pattern:"^\\+?[0-9*#]+$" patternDescription:"digits" doc:"One that ends in * is a prefix and leads to a trunk."`
	NumberFields
}

type listNumbers struct {
	Listing
	Queue line `query:"queue" maxLength:"64"`
	Agent line `query:"agent" maxLength:"32"`
	Trunk line `query:"trunk" maxLength:"64"`
}

// oneWay makes a number lead to one thing only: where it led before, it leads no more.
func oneWay(_ string, set map[string]any) error {
	ways := []string{"queue", "agent", "trunk"}
	leads := ""
	for _, w := range ways {
		if v, _ := set[w].(string); v != "" && leads != "" {
			return invalidField(w, "A number leads to one thing only, and %s is given as well.", leads)
		} else if v != "" {
			leads = w
		}
	}
	if leads == "" {
		return invalidField("queue", "A number leads to one of queue, agent and trunk.")
	}
	for _, w := range ways {
		if w != leads {
			set[w] = ""
		}
	}
	return nil
}

func (a *API) registerService() {
	administer[queueThing, *queueThing, newQueue, changedQueue, listQueues](a, queues)
	administer[numberView, *numberView, newNumber, NumberFields, listNumbers](a, numbers)
}
