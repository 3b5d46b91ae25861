package bundles

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/edged/edged/pkg/client/wire"
)

// curl runs a documented line as it stands, but for the host, which is the socket here, and
// the folder of files. It returns status and body.
func (r *rig) curl(line, files string) (status, body string) {
	r.t.Helper()
	line = strings.ReplaceAll(line, "@/Users/jon/Projects/", "@"+files+"/")
	line = strings.Replace(line, "curl ", "curl --unix-socket "+r.Management()+" -w '\\n%{http_code}' ", 1)
	out, err := exec.Command("bash", "-c", line).CombinedOutput()
	require.NoError(r.t, err, "%s\n%s", line, out)
	text := string(out)
	i := strings.LastIndexByte(text, '\n')
	return text[i+1:], text[:i]
}

// documentedCalls are the sample calls of both documents, in an order in which they make
// sense, with the answers that the documents show.
func (r *rig) documentedCalls() {
	files := r.t.TempDir()
	for name, body := range map[string][]byte{
		"article-2.0.3-SNAPSHOT.jar": article(r.t, "2.0.3.SNAPSHOT"), "article-3.0.0-SNAPSHOT.jar": article(r.t, "3.0.0.SNAPSHOT"), "news-2.0.2-SNAPSHOT.jar": news(r.t, "2.0.2.SNAPSHOT"),
	} {
		dir := filepath.Join(files, strings.SplitN(name, "-", 2)[0], "target")
		require.NoError(r.t, exec.Command("mkdir", "-p", dir).Run())
		file(r.t, dir, name, body)
	}
	one := `{"bundleInfos":[{"groupId":"org.jahia.modules","symbolicName":"article","version":"2.0.3.SNAPSHOT","key":"org.jahia.modules/article/2.0.3.SNAPSHOT"}],"message":"Operation successful"}`
	two := `{"bundleInfos":[{"groupId":"org.jahia.modules","symbolicName":"article","version":"3.0.0.SNAPSHOT","key":"org.jahia.modules/article/3.0.0.SNAPSHOT"},{"groupId":"org.jahia.modules","symbolicName":"news","version":"2.0.2.SNAPSHOT","key":"org.jahia.modules/news/2.0.2.SNAPSHOT"}],"message":"Operation successful"}`
	started := `{"type":"MODULE","osgiState":"ACTIVE","moduleState":"STARTED"}`
	node := r.node()
	const base = "http://localhost:8080/modules/api/bundles"
	for _, c := range []struct{ line, status, body string }{
		{"curl -s --user jon:password --form bundle=@/Users/jon/Projects/article/target/article-2.0.3-SNAPSHOT.jar --form start=true " + base, "200", one},
		// The documents' line lacks a word: curl takes --request for the data, POST for a host that there is none of.
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SNAPSHOT/_start", "200", one},
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SNAPSHOT/_refresh", "200", one},
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SNAPSHOT/_update", "200", one},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SNAPSHOT/_info", "200", `{"` + node + `":` + started + `}`},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SNAPSHOT/_localInfo", "200", started},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SNAPSHOT/_localState", "200", `"ACTIVE"`},
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SNAPSHOT/_stop", "200", one},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SNAPSHOT/_localState", "200", `"RESOLVED"`},
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SNAPSHOT/_uninstall", "200", one},
		{"curl -s --user jon:root1234 --data DATA --request POST " + base + "/org.jahia.modules/article/2.0.3.SPSHOT/_start", "404", `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: org.jahia.modules/article/2.0.3.SPSHOT"}`},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SPSHOT/_localInfo", "404", `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: article/2.0.3.SPSHOT"}`},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SPSHOT/_localState", "404", `{"status":404,"reasonPhrase":"Not Found","message":"Unable to find a module bundle corresponding to the key: article/2.0.3.SPSHOT"}`},
		{"curl -s --user jon:password --request GET " + base + "/article/2.0.3.SPSHOT/_info", "200", `{"` + node + `":{"message":"Error retrieving bundle info from cluster node ` + node + `","cause":"org.jahia.services.modulemanager.ModuleNotFoundException: Unable to find a module bundle corresponding to the key: article/2.0.3.SPSHOT"}}`},
		{"curl -s --user jon:password --form bundle=@/Users/jon/Projects/article/target/article-3.0.0-SNAPSHOT.jar --form bundle=@/Users/jon/Projects/news/target/news-2.0.2-SNAPSHOT.jar --form start=true " + base, "200", two},
		{"curl -g -s --user jon:password --request GET " + base + "/%5Barticle/3.0.0.SNAPSHOT,news/2.0.2.SNAPSHOT%5D/_info", "200", `{"` + node + `":{"article/3.0.0.SNAPSHOT":` + started + `,"news/2.0.2.SNAPSHOT":` + started + `}}`},
		{`curl -g -s --user jon:password --request GET ` + base + `/\[article/3.0.0.SNAPSHOT,news/2.0.2.SNAPSHOT\]/_info`, "200", `{"` + node + `":{"article/3.0.0.SNAPSHOT":` + started + `,"news/2.0.2.SNAPSHOT":` + started + `}}`},
		{`curl -g -s --user jon:password --request GET ` + base + `/\[article/3.0.0.SNAPSHOT,news/2.0.2.SNAPSHOT\]/_localInfo`, "200", `{"article/3.0.0.SNAPSHOT":` + started + `,"news/2.0.2.SNAPSHOT":` + started + `}`},
		{"curl -g -s --user jon:password --request GET " + base + "/%5Barticle/3.0.0.SNAPSHOT,news/2.0.2.SNAPSHOT%5D/_localState", "200", `{"article/3.0.0.SNAPSHOT":"ACTIVE","news/2.0.2.SNAPSHOT":"ACTIVE"}`},
		{"curl -s --user jon:password --request GET " + base + "/article/*/_info", "200", `{"` + node + `":{"org.jahia.modules/article/3.0.0.SNAPSHOT":` + started + `}}`},
		{`curl -s --user jon:password --request GET ` + base + `/org.jahia.modules/\*/\*/_info`, "200", `{"` + node + `":{"org.jahia.modules/article/3.0.0.SNAPSHOT":` + started + `,"org.jahia.modules/news/2.0.2.SNAPSHOT":` + started + `}}`},
		{"curl -s --user jon:password --request GET " + base + "/*/_localInfo", "200", `{"org.jahia.modules/article/3.0.0.SNAPSHOT":` + started + `,"org.jahia.modules/news/2.0.2.SNAPSHOT":` + started + `}`},
	} {
		status, body := r.curl(c.line, files)
		require.Equal(r.t, c.status, status, "%s\n%s", c.line, body)
		require.Equal(r.t, c.body, body, c.line)
	}
	status, body := r.curl("curl -s --user jon:root1234 --request POST "+base+"/_storeAllLocalPersistentStates", files)
	require.Equal(r.t, "200", status)
	var states []wire.BundlePersistentState
	require.NoError(r.t, json.Unmarshal([]byte(body), &states))
	require.True(r.t, strings.HasPrefix(body, `[{"symbolicName":"org.eclipse.osgi","location":"System Bundle","id":0,"state":32,"version":"`), body)
	require.Contains(r.t, body, `{"symbolicName":"article","location":"dx:org.jahia.modules/article/3.0.0.SNAPSHOT","id":`)
	none := file(r.t, files, "none.jar", []byte("this is no bundle"))
	status, body = r.curl("curl -s --user jon:password --form bundle=@"+none+" "+base, files)
	require.Equal(r.t, "400", status)
	require.Equal(r.t, `{"status":400,"reasonPhrase":"Bad Request","message":"Unable to install module. Cause: Submitted bundle is either not a valid OSGi bundle or has no required manifest headers Bundle-SymbolicName and Implementation-Version/Bundle-Version"}`, body)
}

// node is the device's own name in answers.
func (r *rig) node() string {
	out, err := exec.Command("hostname").Output()
	require.NoError(r.t, err)
	return strings.TrimSpace(string(out))
}
