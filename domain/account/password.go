package account

// The cost of a stored password: argon2id as OWASP's password storage cheat sheet
// has it (19 MiB, 2 passes, 1 lane). Whoever stores and whoever verifies passwords
// uses the same cost, so that an unknown user takes as long as a known one.
const (
	PasswordMemoryKiB = 19 * 1024
	PasswordPasses    = 2
	PasswordLanes     = 1
	PasswordSaltBytes = 16
	PasswordKeyBytes  = 32
)
