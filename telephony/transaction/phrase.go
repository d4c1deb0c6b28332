package transaction

import "github.com/emiago/sipgo/sip"

var phrases = map[int]string{
	sip.StatusTrying: "Trying", sip.StatusRinging: "Ringing", sip.StatusCallIsForwarded: "Call Is Being Forwarded",
	sip.StatusQueued: "Queued", sip.StatusSessionInProgress: "Session Progress",
	sip.StatusOK: "OK", sip.StatusAccepted: "Accepted", 204: "No Notification",
	300: "Multiple Choices", sip.StatusMovedPermanently: "Moved Permanently",
	sip.StatusMovedTemporarily: "Moved Temporarily", sip.StatusUseProxy: "Use Proxy", 380: "Alternative Service",
	sip.StatusBadRequest: "Bad Request", sip.StatusUnauthorized: "Unauthorized",
	sip.StatusPaymentRequired: "Payment Required", sip.StatusForbidden: "Forbidden", sip.StatusNotFound: "Not Found",
	sip.StatusMethodNotAllowed: "Method Not Allowed", sip.StatusNotAcceptable: "Not Acceptable",
	sip.StatusProxyAuthRequired: "Proxy Authentication Required", sip.StatusRequestTimeout: "Request Timeout",
	sip.StatusConflict: "Conflict", sip.StatusGone: "Gone", 412: "Conditional Request Failed",
	sip.StatusRequestEntityTooLarge: "Request Entity Too Large", sip.StatusRequestURITooLong: "Request-URI Too Long",
	sip.StatusUnsupportedMediaType: "Unsupported Media Type", 416: "Unsupported URI Scheme",
	sip.StatusBadExtension: "Bad Extension", sip.StatusExtensionRequired: "Extension Required",
	422: "Session Interval Too Small", sip.StatusIntervalToBrief: "Interval Too Brief", 428: "Use Identity Header",
	429: "Provide Referrer Identity", 430: "Flow Failed", 433: "Anonymity Disallowed",
	439: "First Hop Lacks Outbound Support", sip.StatusTemporarilyUnavailable: "Temporarily Unavailable",
	sip.StatusCallTransactionDoesNotExists: "Call/Transaction Does Not Exist", sip.StatusLoopDetected: "Loop Detected",
	sip.StatusTooManyHops: "Too Many Hops", sip.StatusAddressIncomplete: "Address Incomplete",
	sip.StatusAmbiguous: "Ambiguous", sip.StatusBusyHere: "Busy Here",
	sip.StatusRequestTerminated: "Request Terminated", sip.StatusNotAcceptableHere: "Not Acceptable Here",
	489: "Bad Event", sip.StatusRequestPending: "Request Pending", 493: "Undecipherable",
	sip.StatusInternalServerError: "Server Internal Error", sip.StatusNotImplemented: "Not Implemented",
	sip.StatusBadGateway: "Bad Gateway", sip.StatusServiceUnavailable: "Service Unavailable",
	sip.StatusGatewayTimeout: "Server Time-out", sip.StatusVersionNotSupported: "Version Not Supported",
	sip.StatusMessageTooLarge: "Message Too Large", sip.StatusGlobalBusyEverywhere: "Busy Everywhere",
	sip.StatusGlobalDecline: "Decline", sip.StatusGlobalDoesNotExistAnywhere: "Does Not Exist Anywhere",
	sip.StatusGlobalNotAcceptable: "Not Acceptable", 607: "Unwanted", 608: "Rejected",
}

// Phrase is the standard reason phrase of a status code (RFC 3261 §21 and the IANA registry), or the name of its
// class.
func Phrase(code int) string {
	if p, ok := phrases[code]; ok {
		return p
	}
	switch code / 100 {
	case 1:
		return "Session Progress"
	case 2:
		return "OK"
	case 3:
		return "Multiple Choices"
	case 5:
		return "Server Internal Error"
	case 6:
		return "Decline"
	}
	return "Bad Request"
}
