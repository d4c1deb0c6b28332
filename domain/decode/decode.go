// Package decode reads the events of a machine from JSON, by their kinds.
package decode

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"holdfast/domain/fault"
)

// Table knows the events of one machine: E is its interface of events, K the type of
// their kinds.
type Table[K ~string, E interface{ Kind() K }] struct {
	what   string
	events map[K]reflect.Type
}

// Of is the table of events like these, each given once, as its zero value. what names
// one of them in errors: "call event". It panics if two have the same kind.
func Of[K ~string, E interface{ Kind() K }](what string, all ...E) Table[K, E] {
	t := Table[K, E]{what: what, events: map[K]reflect.Type{}}
	for _, e := range all {
		if t.events[e.Kind()] != nil {
			panic(fmt.Sprintf("decode: two kinds of %s are called %q", what, e.Kind()))
		}
		t.events[e.Kind()] = reflect.TypeOf(e)
	}
	return t
}

// Decode reads the event of the given kind from JSON; no data is the event without
// particulars. fault.Invalid: no such kind, or not such JSON.
func (t Table[K, E]) Decode(k K, data []byte) (none E, err error) {
	of, known := t.events[k]
	if !known {
		return none, fault.E(fault.Invalid, "decode "+t.what, fmt.Errorf("no event is called %q", k))
	}
	e := reflect.New(of)
	if len(data) > 0 {
		if err := json.Unmarshal(data, e.Interface()); err != nil {
			return none, fault.E(fault.Invalid, "decode "+t.what+" "+string(k), err)
		}
	}
	return e.Elem().Interface().(E), nil
}

// Kinds lists the kinds of all events, sorted.
func (t Table[K, E]) Kinds() []K { return slices.Sorted(maps.Keys(t.events)) }
