package contact

import (
	"slices"
	"strings"
	"unicode"

	"holdfast/domain/dialplan"
)

const (
	longestWord = 64 // of an index entry, in characters
	mostTerms   = 8  // of a search
)

// plain are letters that people type without their marks.
var plain = strings.NewReplacer(
	"ä", "a", "à", "a", "á", "a", "â", "a", "ã", "a", "å", "a", "æ", "ae", "ç", "c", "è", "e", "é", "e", "ê", "e", "ë", "e",
	"ì", "i", "í", "i", "î", "i", "ï", "i", "ñ", "n", "ò", "o", "ó", "o", "ô", "o", "õ", "o", "ö", "o", "ø", "o", "œ", "oe",
	"š", "s", "ś", "s", "ß", "ss", "ù", "u", "ú", "u", "û", "u", "ü", "u", "ý", "y", "ÿ", "y", "ž", "z", "ź", "z", "ż", "z", "ł", "l", "č", "c", "ć", "c")

// split are the words of a text, in small letters without marks, cut at what is neither
// letter nor digit.
func split(s string) []string {
	return strings.FieldsFunc(plain.Replace(strings.ToLower(s)), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r)
	})
}

// Words are what a contact is found by, sorted, each once: the words of its texts, its
// e-mail addresses as a whole as well, and its numbers as digits, in the international
// form and in that of the country.
func Words(texts, emails, numbers []string, country string) []string {
	words := []string{}
	for _, t := range slices.Concat(texts, emails) {
		words = append(words, split(t)...)
	}
	for _, e := range emails {
		words = append(words, strings.ToLower(e))
	}
	for _, text := range numbers {
		words = append(words, strings.TrimPrefix(text, "+"))
		if n, err := dialplan.Parse(text, country); err == nil && n.Abroad == "" {
			words = append(words, n.National)
		}
	}
	for i, w := range words {
		if r := []rune(w); len(r) > longestWord {
			words[i] = string(r[:longestWord])
		}
	}
	slices.Sort(words)
	return slices.Compact(words)
}

// Terms are beginnings of words that a contact must all have to be found by a search. A
// telephone number in any notation is one term; so is an e-mail address.
func Terms(search, country string) []string {
	search = strings.TrimSpace(search)
	if strings.Contains(search, "@") && !strings.ContainsAny(search, " \t") {
		return []string{strings.ToLower(search)}
	}
	if digits := onlyDigits(search); digits != "" {
		if e164 := dialplan.Caller(search, country); e164 != "" {
			return []string{strings.TrimPrefix(e164, "+")}
		}
		if abroad, is := strings.CutPrefix(digits, "00"); is {
			digits = abroad
		}
		return []string{digits}
	}
	terms := split(search)
	for i, t := range terms {
		if r := []rune(t); len(r) > longestWord {
			terms[i] = string(r[:longestWord])
		}
	}
	slices.Sort(terms)
	terms = slices.Compact(terms)
	return terms[:min(len(terms), mostTerms)]
}

// onlyDigits are the digits of a text that may be a telephone number, or a part of one;
// empty if it is something else.
func onlyDigits(s string) string {
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, s)
	if strings.Trim(s, "0123456789 +()/.-\t") != "" {
		return ""
	}
	return digits
}
