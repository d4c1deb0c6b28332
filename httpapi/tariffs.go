package httpapi

import "holdfast/domain/directory"

// tariffs are what calls to the outside cost (SEED-44, SEED-47, SEED-50).
var tariffs = resource{kind: directory.Tariff, path: "/v1/tariffs", plural: "tariffs"}

type tariffView struct {
	Prefix      string `json:"prefix" example:"+4930" doc:"Of the international numbers that it is for; the longest counts, and + is for all that have no other."`
	DisplayName string `json:"display_name" example:"Berlin"`
	PerMinute   string `json:"per_minute" example:"0.12" doc:"In the tenant's currency: a decimal."`
	PerCall     string `json:"per_call" example:"0.05" doc:"Of each call that was answered."`
	FirstMS     int64  `json:"first_ms" example:"60000" doc:"Charged at least."`
	StepMS      int64  `json:"step_ms" example:"60000" doc:"What follows is charged in steps that have begun."`
	Stamp
}

// TariffFields are what can be set of a tariff besides the price of a minute.
type TariffFields struct {
	DisplayName *line  `json:"display_name,omitempty" maxLength:"200"`
	PerCall     *line  `json:"per_call,omitempty" maxLength:"14" pattern:"^[0-9]{1,7}(\\.[0-9]{1,6})?$" patternDescription:"a decimal with up to six places, such as 0.05" doc:"Of each call that was answered; 0, if left out." example:"0.05"`
	FirstMS     *int64 `json:"first_ms,omitempty" minimum:"0" maximum:"3600000" doc:"Charged at least; a minute, if left out." example:"60000"`
	StepMS      *int64 `json:"step_ms,omitempty" minimum:"1" maximum:"3600000" doc:"What follows is charged in steps that have begun; a minute, if left out." example:"60000"`
}

type newTariff struct {
	Prefix    line `json:"prefix" key:"true" minLength:"1" maxLength:"16" pattern:"^\\+([1-9][0-9]{0,14})?$" patternDescription:"the beginning of an international number, such as +4930" example:"+4930"`
	PerMinute line `json:"per_minute" maxLength:"14" pattern:"^[0-9]{1,7}(\\.[0-9]{1,6})?$" patternDescription:"a decimal with up to six places, such as 0.12" doc:"In the tenant's currency, at most 1000000." example:"0.12"`
	TariffFields
}

type changedTariff struct {
	PerMinute *line `json:"per_minute,omitempty" maxLength:"14" pattern:"^[0-9]{1,7}(\\.[0-9]{1,6})?$" patternDescription:"a decimal with up to six places, such as 0.12" example:"0.12"`
	TariffFields
}

type listTariffs struct {
	Listing
	Number line `query:"number" maxLength:"17" pattern:"^[ +]?[0-9]{1,15}$" patternDescription:"an international number" doc:"The one by which calls to this international number are charged; + may be left out." example:"49301234567"`
}

func (a *API) registerTariffs() {
	administer[tariffView, *tariffView, newTariff, changedTariff, listTariffs](a, tariffs)
	importable[newTariff, changedTariff](a, tariffs)
}
