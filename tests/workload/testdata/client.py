# What the Python SDK does to get a token, with the transport it does it with: a session
# on http+unix, the body as text without a content type.
import base64, json, os, sys, urllib.parse

import requests
import requests_unixsocket

socket = os.environ["IOTEDGE_WORKLOADURI"][len("unix://"):]
base = "http+unix://" + urllib.parse.quote(socket, safe="")
version = {"api-version": os.environ["IOTEDGE_APIVERSION"]}

with requests_unixsocket.Session() as session:
    bundle = session.get(base + "/trust-bundle", params=version)
    bundle.raise_for_status()
    data = sys.argv[1].encode()
    body = json.dumps({"keyId": "primary", "algo": "HMACSHA256", "data": base64.b64encode(data).decode()})
    path = "/modules/{}/genid/{}/sign".format(
        urllib.parse.quote(os.environ["IOTEDGE_MODULEID"], safe=""),
        urllib.parse.quote(os.environ["IOTEDGE_MODULEGENERATIONID"], safe=""))
    signed = session.post(base + path, params=version, data=body)
    signed.raise_for_status()
    assert "Content-Type" not in signed.request.headers, signed.request.headers
    other = session.post(base + "/modules/other/genid/1/sign", params=version, data=body)
    print(json.dumps({"digest": signed.json()["digest"], "bundle": bundle.json()["certificate"], "other": other.status_code}))
