package wire

// AuditPage is rows of the audit table, the newest first.
type AuditPage struct {
	Events []AuditEvent `json:"events"`
	// Before is what to ask for with before= to read on; 0 when there is no more.
	Before int64 `json:"before,omitempty"`
}

// The kinds of AuditEvent.
const (
	AuditChange  = "change"
	AuditRefusal = "refusal"
)

// AuditEvent is what somebody changed, or was refused; several that are alike are one.
type AuditEvent struct {
	ID   int64  `json:"id"`
	Kind string `json:"kind"`
	// Time is of the first of Count, Last of the last one; RFC 3339.
	Time  string `json:"time"`
	Last  string `json:"last"`
	Count int    `json:"count"`
	// Caller is "module", "host" or "unknown". The uid of a module's process means nothing on
	// the host.
	Caller          string `json:"caller,omitempty"`
	CallerModule    string `json:"callerModule,omitempty"`
	CallerContainer string `json:"callerContainer,omitempty"`
	CallerUID       uint32 `json:"callerUid"`
	CallerPID       int    `json:"callerPid,omitempty"`
	Proof           string `json:"proof,omitempty"`
	Listener        string `json:"listener,omitempty"`
	// Route is the template. Status is what was answered.
	Method string `json:"method,omitempty"`
	Route  string `json:"route,omitempty"`
	Status int    `json:"status,omitempty"`
	// Rule and Reason are of a refusal.
	Rule   string `json:"rule,omitempty"`
	Reason string `json:"reason,omitempty"`
	// What was acted upon, as far as the request named it.
	Module   string `json:"module,omitempty"`
	Volume   string `json:"volume,omitempty"`
	Package  string `json:"package,omitempty"`
	Build    string `json:"build,omitempty"`
	Bundle   string `json:"bundle,omitempty"`
	Revision string `json:"revision,omitempty"`
	Comment  string `json:"comment,omitempty"`
}
