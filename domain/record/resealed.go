package record

// Resealed counts a tenant's secrets that are sealed: those of webhooks, also of deleted
// ones, with the values of their headers, and that of its sign-in provider.
type Resealed struct {
	Secrets int      // all of them
	Old     int      // sealed by an old key, or in clear: sealed anew, unless it was only looked
	Lost    []string // what none of the keys opens
}
