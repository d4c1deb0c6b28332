package httpapi

import (
	"context"

	"holdfast/domain/directory"
	"holdfast/domain/fault"
	"holdfast/domain/id"
	"holdfast/domain/tenancy"
)

// Documents reads, writes and carries out tenants as documents, as the commands apply and
// export do.
type Documents interface {
	// Read reads YAML, of which JSON is a part, and checks it; fault.Invalid names the line
	// and the field of everything that is wrong.
	Read(data []byte) (tenancy.Document, error)
	// Write writes YAML.
	Write(tenancy.Document) ([]byte, error)
	// ApplyBy makes a tenant what the document says, in one transaction, and returns the
	// differences; a dry run changes nothing. fault.Forbidden: it gives, or takes, more than
	// the author holds.
	ApplyBy(ctx context.Context, by directory.Author, d tenancy.Document, dryRun bool) ([]tenancy.Change, error)
	// ExportBy reads the author's tenant as a document, without the password hashes of users
	// who hold what the author doesn't; fault.NotFound.
	ExportBy(ctx context.Context, by directory.Author) (tenancy.Document, error)
}

// maxDocument bounds a tenant's document, in bytes.
const maxDocument = 16 << 20

type applyInput struct {
	Keyed
	ID      line   `path:"id" minLength:"1" maxLength:"253" doc:"The tenant's domain: that in which one works."`
	DryRun  string `query:"dry_run" enum:"true,false" doc:"true: nothing is changed, and the differences are told."`
	RawBody []byte `contentType:"application/yaml" doc:"The tenant as a document, as YAML or JSON: what it does not name is removed."`
}

type differenceView struct {
	Sign   string `json:"sign" enum:"+,~,-" doc:"Created, changed or removed."`
	Object string `json:"object" doc:"Kind and name." example:"agent 1001"`
	Detail string `json:"detail,omitempty" doc:"Of what is changed: the fields."`
}

type applyOutput struct {
	Body struct {
		Tenant  id.Tenant        `json:"tenant"`
		DryRun  bool             `json:"dry_run"`
		Changes []differenceView `json:"changes" doc:"How the tenant differed from the document; empty: it is as it says."`
	}
}

type exportInput struct {
	ID line `path:"id" minLength:"1" maxLength:"253" doc:"The tenant's domain: that in which one works."`
}

type documentOutput struct {
	ContentType string `header:"Content-Type"`
	Cache       string `header:"Cache-Control"`
	Body        []byte
}

func (a *API) registerDocuments() {
	register(a, "apply-tenant", a.applyTenant)
	register(a, "export-tenant", a.exportTenant)
}

// applyTenant makes the tenant what a document says.
func (a *API) applyTenant(ctx context.Context, in *applyInput) (*applyOutput, error) {
	name := id.Tenant(in.ID.clean())
	changes, err := a.apply(ctx, name, in)
	if err != nil {
		a.audit.add(personOf(ctx), "tenant.apply", "tenant:"+string(name), err)
		return nil, err
	}
	out := &applyOutput{}
	out.Body.Tenant, out.Body.DryRun, out.Body.Changes = name, in.DryRun == "true", []differenceView{}
	for _, c := range changes {
		out.Body.Changes = append(out.Body.Changes, differenceView(c))
	}
	if in.DryRun != "true" {
		a.persons.forget()
	}
	return out, nil
}

func (a *API) apply(ctx context.Context, name id.Tenant, in *applyInput) ([]tenancy.Change, error) {
	if err := a.here(ctx, name); err != nil {
		return nil, err
	}
	d, err := a.config.Documents.Read(in.RawBody)
	if err != nil {
		return nil, err
	}
	if d.Tenant.Domain != name {
		return nil, &fault.Error{Kind: fault.Invalid, Code: "tenant_document", Sentence: "The document is of tenant " + string(d.Tenant.Domain) + ".",
			Fields: []fault.Field{{Name: "tenant.domain", Sentence: "is not the tenant of the address"}}}
	}
	changes, err := a.config.Documents.ApplyBy(ctx, a.author(ctx, "apply-tenant", nil), d, in.DryRun == "true")
	return changes, unavailable("apply a tenant", err)
}

// here refuses what is not the tenant in which the person works: another one does not
// exist for it until it switches.
func (a *API) here(ctx context.Context, name id.Tenant) error {
	if name != personOf(ctx).Tenant {
		return notFound("no_such_tenant", "There is no tenant %s here; to work in another one, switch to it.", name)
	}
	return nil
}

// exportTenant shows the tenant as a document, with the hashes of passwords that one may set.
func (a *API) exportTenant(ctx context.Context, in *exportInput) (*documentOutput, error) {
	name := id.Tenant(in.ID.clean())
	if err := a.here(ctx, name); err != nil {
		return nil, err
	}
	d, err := a.config.Documents.ExportBy(ctx, a.author(ctx, "export-tenant", nil))
	a.audit.add(personOf(ctx), "tenant.export", "tenant:"+string(name), err)
	if err != nil {
		return nil, unavailable("export a tenant", err)
	}
	data, err := a.config.Documents.Write(d)
	return &documentOutput{ContentType: "application/yaml; charset=utf-8", Cache: "no-store", Body: data}, err
}
