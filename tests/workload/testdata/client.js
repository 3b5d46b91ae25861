// What a module of the Node SDK does at its start, with the SDK itself and no broker: its
// environment, the trust bundle, a token.
'use strict';
const { EventEmitter } = require('events');
const { ModuleClient } = require('azure-iot-device');
const { IotEdgeAuthenticationProvider } = require('azure-iot-device/dist/iotedge_authentication_provider');

class Transport extends EventEmitter {
  constructor(provider) { super(); Transport.provider = provider; }
  setOptions(options) { Transport.ca = options.ca; }
}

const fail = (err) => { console.error(err); process.exit(1); };

ModuleClient.fromEnvironment(Transport, (err) => {
  if (err) fail(err);
  Transport.provider.getDeviceCredentials((err, credentials) => {
    if (err) fail(err);
    const stale = new IotEdgeAuthenticationProvider({
      workloadUri: process.env.IOTEDGE_WORKLOADURI, deviceId: process.env.IOTEDGE_DEVICEID, iothubHostName: process.env.IOTEDGE_IOTHUBHOSTNAME,
      moduleId: process.env.IOTEDGE_MODULEID, generationId: 'stale',
    });
    stale.getDeviceCredentials((err) => {
      console.log(JSON.stringify({ token: credentials.sharedAccessSignature, bundle: Transport.ca, stale: String(err) }));
      process.exit(0);
    });
  });
});
