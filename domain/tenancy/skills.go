package tenancy

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Names are a display name in other languages, by language tag ("de", "pt-BR").
type Names map[string]string

// languageForm is a language with an optional script and region (RFC 5646 §2.1).
var languageForm = regexp.MustCompile(`^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$`)

// maxNames is in how many other languages a name can be given.
const maxNames = 50

// Validate says what is wrong with the names, by language; nil when nothing is.
func (n Names) Validate() map[string]string {
	wrong := map[string]string{}
	for _, language := range slices.Sorted(maps.Keys(n)) {
		c := &check{}
		c.that("", languageForm.MatchString(language), "%q is not a language, such as de or pt-BR", language)
		c.text("", n[language], 1, maxText)
		if len(c.fields) > 0 {
			wrong[language] = c.fields[0].Sentence
		}
	}
	if len(n) > maxNames {
		wrong[""] = fmt.Sprintf("has %d languages, at most %d are allowed", len(n), maxNames)
	}
	if len(wrong) == 0 {
		return nil
	}
	return wrong
}

// Skill is something that agents can and callers need.
type Skill struct {
	Name        string `yaml:"name" json:"name"`
	DisplayName string `yaml:"display_name,omitempty" json:"display_name,omitempty"`
}

// The levels of a skill.
const (
	LeastLevel = 1
	MostLevel  = 10
)

// SkillLevel is how well an agent can something, or how well a queue's calls need it.
type SkillLevel struct {
	Skill string `yaml:"skill" json:"skill"`
	Level int    `yaml:"level" json:"level"` // 1 to 10
}

// Disposition is what a call came to, as its agent says afterwards.
type Disposition struct {
	Name        string   `yaml:"name" json:"name"`
	DisplayName string   `yaml:"display_name,omitempty" json:"display_name,omitempty"`
	Names       Names    `yaml:"names,omitempty" json:"names,omitempty"`
	Queues      []string `yaml:"queues,omitempty" json:"queues,omitempty"` // for the calls of these; none: of all
}

func (c *check) translations(path string, n Names) {
	wrong := n.Validate()
	for _, language := range slices.Sorted(maps.Keys(wrong)) {
		field := path
		if language != "" {
			field += "." + language
		}
		c.that(field, false, "%s", wrong[language])
	}
}

// skills checks what the document says about skills and dispositions.
func (c *check) skills(d Document) {
	for i, s := range d.Skills {
		c.text(fmt.Sprintf("skills[%d].display_name", i), s.DisplayName, 0, maxText)
	}
	for i, a := range d.Agents {
		c.levels(fmt.Sprintf("agents[%d].skills", i), a.Skills)
	}
	for i, q := range d.Queues {
		c.levels(fmt.Sprintf("queues[%d].skills", i), q.Skills)
	}
	for i, p := range d.Dispositions {
		path := fmt.Sprintf("dispositions[%d]", i)
		c.text(path+".display_name", p.DisplayName, 0, maxText)
		c.translations(path+".names", p.Names)
		for j, q := range p.Queues {
			c.refer("queue", fmt.Sprintf("%s.queues[%d]", path, j), q)
			c.that(fmt.Sprintf("%s.queues[%d]", path, j), q != "" && slices.Index(p.Queues, q) == j, "%q is empty, or stands twice", q)
		}
	}
}

func (c *check) levels(path string, list []SkillLevel) {
	seen := map[string]bool{}
	for i, s := range list {
		field := fmt.Sprintf("%s[%d]", path, i)
		c.that(field+".skill", s.Skill != "", "is missing")
		c.refer("skill", field+".skill", s.Skill)
		c.that(field+".skill", !seen[s.Skill], "skill %q stands twice", s.Skill)
		c.that(field+".level", s.Level >= LeastLevel && s.Level <= MostLevel, "must be between %d and %d", LeastLevel, MostLevel)
		seen[s.Skill] = true
	}
}
