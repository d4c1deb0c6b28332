package httpapi

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"holdfast/domain/account"
	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
)

// operator is whose name the trail shows for what the operator does at the command line.
const operator id.User = "operator"

// Bringing is a CSV file that is brought into a tenant by its operator.
type Bringing struct {
	Tenant id.Tenant
	What   string // users, agents, devices, contacts, tariffs
	File   []byte
	DryRun bool
}

// Brought is what became of it. With any problem nothing was changed.
type Brought struct {
	Created, Changed, Same int
	PasswordsLeft          int                 // of those who are there already: those stay
	Problems               []directory.Problem // by row; the first 200
}

// bringers import what Bring can bring, each as its route does.
var bringers = map[string]func(ctx context.Context, a *API, in *importInput) (importBody, error){
	"users":    bringer[newUser, changedUser](users),
	"agents":   bringer[newAgent, AgentFields](agents),
	"devices":  bringer[newDevice, DeviceFields](devices),
	"contacts": bringer[newContact, ContactSettable](contacts),
	"tariffs":  bringer[newTariff, changedTariff](tariffs),
}

func bringer[N, U any](r resource) func(context.Context, *API, *importInput) (importBody, error) {
	return func(ctx context.Context, a *API, in *importInput) (importBody, error) {
		s, err := a.tailored(ctx, sheetOf[N, U](a, r))
		if err != nil {
			return importBody{}, err
		}
		return bringSheet[N, U](ctx, a, s, in)
	}
}

// Bring imports a file as POST /v1/<what>/import does, for the operator, who may all: by the
// same rules, with its lines of the audit trail. fault.Invalid: there is nothing of that
// name to bring; fault.NotFound: there is no such tenant.
func (a *API) Bring(ctx context.Context, b Bringing) (Brought, error) {
	bring, known := bringers[b.What]
	if !known {
		var names []string
		for name := range bringers {
			names = append(names, name)
		}
		slices.Sort(names)
		return Brought{}, &fault.Error{Kind: fault.Invalid, Code: "import", Sentence: fmt.Sprintf("There is no import of %q; there are %s.", b.What, strings.Join(names, ", "))}
	}
	if len(b.File) > maxImport {
		return Brought{}, &fault.Error{Kind: fault.Invalid, Code: "too_large", Sentence: fmt.Sprintf("The file has %d bytes, at most %d are allowed: divide it.", len(b.File), maxImport)}
	}
	ctx = withPerson(ctx, person{
		User:    account.User{Tenant: b.Tenant, Name: operator, Permissions: account.PermissionsOf(account.Given()...)},
		address: "import",
	})
	in := &importInput{RawBody: b.File}
	if b.DryRun {
		in.DryRun = "true"
	}
	report, err := bring(ctx, a, in)
	done := Brought{Created: report.Created, Changed: report.Changed, Same: report.Same, PasswordsLeft: report.PasswordsLeft}
	for _, p := range report.Problems {
		done.Problems = append(done.Problems, directory.Problem{Row: p.Row, Column: p.Column, Sentence: p.Detail})
	}
	return done, err
}
