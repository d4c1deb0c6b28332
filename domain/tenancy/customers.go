package tenancy

import (
	"fmt"
	"regexp"
	"slices"

	"holdfast/domain/contact"
)

// ContactField is what the tenant keeps of its customers besides what all have (SEED-63).
// The customers themselves are no part of the document.
type ContactField struct {
	Key      string       `yaml:"key" json:"key"`
	Label    string       `yaml:"label,omitempty" json:"label,omitempty"`
	Type     contact.Type `yaml:"type,omitempty" json:"type,omitempty"` // default text
	Required bool         `yaml:"required,omitempty" json:"required,omitempty"`
	Choices  []string     `yaml:"choices,omitempty" json:"choices,omitempty"` // of type choice
	Position int          `yaml:"position,omitempty" json:"position,omitempty"`
}

// keyForm is a name that can be a JSON key and a column of a CSV file.
var keyForm = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)

// contactFields checks the tenant's own fields of contacts.
func (c *check) contactFields(d Document) {
	for i, f := range d.ContactFields {
		path := fmt.Sprintf("contact_fields[%d]", i)
		c.name("contact field", path+".key", f.Key, keyForm)
		c.text(path+".label", f.Label, 0, maxText)
		c.that(path+".type", f.Type == "" || slices.Contains(contact.Types(), f.Type), "%q is not allowed: text, number, date, choice or boolean", f.Type)
		c.that(path+".choices", (f.Type == contact.Choice) == (len(f.Choices) > 0), "belong to a field of type choice, which needs some")
		for j, s := range f.Choices {
			c.text(fmt.Sprintf("%s.choices[%d]", path, j), s, 1, maxText)
			c.that(fmt.Sprintf("%s.choices[%d]", path, j), slices.Index(f.Choices, s) == j, "stands twice")
		}
	}
}
