package httpapi

import (
	"fmt"

	"holdfast/domain/directory"
)

// The resources that are lists to choose from.
var (
	reasons      = resource{kind: directory.Reason, path: "/v1/reasons", plural: "reasons", prepare: readTranslations}
	skills       = resource{kind: directory.Skill, path: "/v1/skills", plural: "skills"}
	dispositions = resource{kind: directory.Disposition, path: "/v1/dispositions", plural: "dispositions", prepare: readTranslations}
)

// translation is a display name in another language.
type translation struct {
	Language line `json:"language" minLength:"2" maxLength:"16" pattern:"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?$" patternDescription:"a language, such as de or pt-BR" example:"de"`
	Name     line `json:"name" minLength:"1" maxLength:"200" example:"Pause"`
}

// readTranslations turns names in other languages into what is kept of them.
func readTranslations(_ string, set map[string]any) error {
	list, given := set["names"].([]translation)
	if !given {
		return nil
	}
	names := map[string]string{}
	for i, t := range list {
		language := t.Language.clean()
		if _, twice := names[language]; twice {
			return invalidField(fmt.Sprintf("names[%d].language", i), "%s stands twice", language)
		}
		names[language] = t.Name.clean()
	}
	set["names"] = names
	return nil
}

type reasonView struct {
	Code        string            `json:"code" example:"LUNCH"`
	DisplayName string            `json:"display_name" example:"Lunch"`
	Names       map[string]string `json:"names" doc:"The display name in other languages."`
	LimitMS     int64             `json:"limit_ms" doc:"How long it allows; 0: as long as one likes."`
	Then        string            `json:"then" doc:"What follows then: ready, sign_out; empty: it is only shown."`
	Place       int               `json:"place" doc:"Its place among the reasons."`
	Stamp
}

// ReasonFields are what can be set of a reason.
type ReasonFields struct {
	DisplayName *line          `json:"display_name,omitempty" maxLength:"200"`
	Names       *[]translation `json:"names,omitempty" maxItems:"50" doc:"The display name in other languages: all of them."`
	LimitMS     *int64         `json:"limit_ms,omitempty" minimum:"0" maximum:"86400000" doc:"How long it allows; 0: as long as one likes."`
	Then        *line          `json:"then,omitempty" column:"then_do" maxLength:"8" pattern:"^(ready|sign_out|)$" patternDescription:"ready, sign_out, or nothing" doc:"What follows then; empty: it is only shown."`
	Place       *int           `json:"place,omitempty" minimum:"0" maximum:"100000" doc:"Its place among the reasons; the last, if left out."`
}

type newReason struct {
	Code line `json:"code" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	ReasonFields
}

type listReasons struct{ Listing }

type skillView struct {
	Name        string `json:"name" example:"german"`
	DisplayName string `json:"display_name"`
	Stamp
}

// SkillFields are what can be set of a skill.
type SkillFields struct {
	DisplayName *line `json:"display_name,omitempty" maxLength:"200"`
}

type newSkill struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	SkillFields
}

type listSkills struct{ Listing }

// skillLevel is how well an agent can something, or a queue's calls need it.
type skillLevel struct {
	Skill line `json:"skill" minLength:"1" maxLength:"64" example:"german"`
	Level int  `json:"level" minimum:"1" maximum:"10"`
}

type dispositionView struct {
	Name        string            `json:"name" example:"solved"`
	DisplayName string            `json:"display_name"`
	Names       map[string]string `json:"names" doc:"The display name in other languages."`
	Queues      []string          `json:"queues" doc:"For the calls of these; none: of all."`
	Stamp
}

// DispositionFields are what can be set of a disposition.
type DispositionFields struct {
	DisplayName *line          `json:"display_name,omitempty" maxLength:"200"`
	Names       *[]translation `json:"names,omitempty" maxItems:"50" doc:"The display name in other languages: all of them."`
	Queues      *[]line        `json:"queues,omitempty" maxItems:"500" doc:"For the calls of these; none: of all."`
}

type newDisposition struct {
	Name line `json:"name" key:"true" minLength:"1" maxLength:"64" pattern:"^[A-Za-z0-9][A-Za-z0-9._@+-]*$" patternDescription:"letters, digits and . _ @ + -"`
	DispositionFields
}

type listDispositions struct {
	Listing
	Queue line `query:"queue" maxLength:"64" doc:"Those for its calls."`
}

func (a *API) registerCatalogues() {
	administer[reasonView, *reasonView, newReason, ReasonFields, listReasons](a, reasons)
	administer[skillView, *skillView, newSkill, SkillFields, listSkills](a, skills)
	administer[dispositionView, *dispositionView, newDisposition, DispositionFields, listDispositions](a, dispositions)
}
