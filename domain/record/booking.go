package record

import (
	"time"

	"holdfast/domain/id"
	"holdfast/domain/tariff"
)

// BookingKind says what a booking is for.
type BookingKind string

// The kinds of booking.
const (
	// BookedDialled is a call by an internal device to a number outside (SEED-47).
	BookedDialled BookingKind = "dialled"
	// BookedExternal is a call through an external device (SEED-50).
	BookedExternal BookingKind = "external"
)

// Booking is one answered leg to a number outside, and whose account it is booked to.
type Booking struct {
	Tenant     id.Tenant   `json:"tenant"`
	Call       id.Call     `json:"call"`
	Leg        id.Leg      `json:"leg"`
	Kind       BookingKind `json:"kind"`
	Account    id.User     `json:"account,omitempty"` // empty: nobody owns the device
	Device     id.Device   `json:"device,omitempty"`  // that called, or that was called
	Trunk      string      `json:"trunk,omitempty"`   // empty: chosen by the external device's number
	Number     string      `json:"number"`            // outside
	AnsweredAt time.Time   `json:"answered_at"`
	EndedAt    time.Time   `json:"ended_at"`

	// What it cost on its day, by the tariff of that prefix. nil and empty: there was none for the number.
	Price    *tariff.Amount `json:"price"`
	Currency string         `json:"currency"` // the tenant's on that day: ISO 4217
	Tariff   string         `json:"tariff,omitempty"`
}

// BookingQuery filters bookings by account, device and time of answer; zero fields don't.
type BookingQuery struct {
	Account id.User
	Device  id.Device
	Since   time.Time
	Until   time.Time      // exclusive
	Zone    *time.Location // whose days are meant; nil is UTC
	Limit   int            // of days or bookings, 100 when 0, at most 10,000
	After   BookingPlace   // the last one of the page before; days have no pages
	// Teams, if not nil: only accounts that belong to one of them, and Self.
	Teams []id.Team
	Self  id.User

	OldestFirst bool // of bookings
}

// BookingPlace is the place of a booking among all, the newest first.
type BookingPlace struct {
	At   time.Time `json:"at"`
	Call id.Call   `json:"call"`
	Leg  id.Leg    `json:"leg"`
}

// BookingDay is what one account has to pay for on one day, by kind and currency.
type BookingDay struct {
	Account id.User       `json:"account,omitempty"`
	Day     string        `json:"day"` // 2026-11-21, of the answer
	Kind    BookingKind   `json:"kind"`
	Calls   int           `json:"calls"`
	Talk    time.Duration `json:"talk"`

	Price    *tariff.Amount `json:"price"` // of those that have one; nil: none has
	Currency string         `json:"currency"`
	Unpriced int            `json:"unpriced"` // of the calls: those for whose number there was no tariff
}
