// The page: its parts, which the address names, and what is to be said of the connection to edged.
import { button, explain } from './act.js';
import { bundles } from './bundles.js';
import { catalog } from './catalog.js';
import { Device } from './device.js';
import { el, fill } from './dom.js';
import { module } from './module.js';
import { modules } from './modules.js';
import { packages } from './packages.js';
import { system } from './system.js';

const parts = [
    ['modules', 'Modules', (device, name) => name ? module(device, name) : modules(device)],
    ['packages', 'Packages', packages],
    ['bundles', 'Bundles', bundles],
    ['catalog', 'Catalog', catalog],
    ['device', 'Device', system],
];

const device = new Device();
const main = document.getElementById('main');
const banner = document.getElementById('connection');
const links = new Map(parts.map(([key, label]) => [key, el('a', { href: '#/' + key }, label)]));
let view = null;

// navigate shows the part that the address names; an address that names none is that of the modules.
function navigate() {
    const [key = 'modules', ...rest] = cockpit.location.path;
    const part = parts.find(p => p[0] === key) ?? parts[0];
    for (const [name, link] of links) {
        if (name === part[0])
            link.setAttribute('aria-current', 'page');
        else
            link.removeAttribute('aria-current');
    }
    view?.close?.();
    view = part[2](device, ...rest);
    fill(main, view.element);
    view.begin?.focus();
}

let away = false;

function connection() {
    banner.hidden = device.connected || !device.failure;
    if (!device.connected) {
        away = true;
        fill(banner, device.failure && [el('span', {}, explain(device.failure)), button('Try again', () => device.open())]);
        banner.classList.toggle('denied', Boolean(device.failure?.forbidden));
        return;
    }
    fill(banner);
    if (away)
        view?.back?.();
    away = false;
}

fill(document.getElementById('nav'), el('ul', {}, [...links.values()].map(link => el('li', {}, link))));
device.addEventListener('connection', connection);
cockpit.addEventListener('locationchanged', navigate);
// It loads the page anew when administrative access comes or goes, and with it the connections that were opened without.
cockpit.permission({ admin: true });
navigate();
device.open();
