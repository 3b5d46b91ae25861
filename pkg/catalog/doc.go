// Package catalog knows which builds there are: what each is made of, what it needs,
// and which are in use. Rows come through the API; edged's own index adds one for every
// image that a module uses and every package that was uploaded.
//
// The rules are those of the catalog API that clients know (Fedora's PDC): what is
// accepted, what it becomes, and in which words it is refused. The package knows no
// HTTP and no SQL: it reads JSON values, and a Store keeps the rows.
package catalog
