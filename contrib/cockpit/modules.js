// The list of modules.
import { Notice } from './act.js';
import { el, fill, row, set, table } from './dom.js';
import { Actions, State } from './modulestate.js';
import { moment, printable } from './text.js';

// Row is a module in the list. It is made once and changed in place, so that the keyboard's focus stays where it is.
class Row {
    constructor(name) {
        this.notice = new Notice();
        this.state = new State();
        this.actions = new Actions(name, this.notice);
        this.image = el('code', {});
        this.description = el('span', { class: 'small' });
        this.since = el('span', {});
        this.element = row(
            ['Name', el('a', { href: '#/modules/' + encodeURIComponent(name) }, printable(name))],
            ['State', this.state.element, this.description],
            ['Image', this.image],
            ['Started', this.since],
            ['Actions', this.actions.element, this.notice.element]);
    }

    show(m) {
        this.state.show(m);
        this.actions.show(m);
        set(this.image, printable(m.image));
        set(this.description, m.description === m.status ? '' : printable(m.description));
        set(this.since, m.startTime ? moment(m.startTime) : 'never');
    }
}

// modules shows all modules of a device.
export function modules(device) {
    const rows = new Map();
    const list = table('Modules', ['Name', 'State', 'Image', 'Started', 'Actions']);
    const empty = el('p', { class: 'empty' }, 'There are no modules on this device yet. A deployment brings them: edgectl apply.');
    const waiting = el('p', { class: 'empty' }, 'Asking edged…');
    const element = el('section', { 'aria-label': 'Modules' });

    const show = () => {
        const names = [...device.modules.keys()].sort((a, b) => a.localeCompare(b));
        for (const name of rows.keys()) {
            if (!device.modules.has(name)) {
                rows.get(name).element.remove();
                rows.delete(name);
            }
        }
        names.forEach((name, i) => {
            if (!rows.has(name))
                rows.set(name, new Row(name));
            const r = rows.get(name);
            r.show(device.modules.get(name));
            if (list.body.children[i] !== r.element)
                list.body.insertBefore(r.element, list.body.children[i] ?? null);
        });
        const known = device.connected || device.modules.size > 0;
        const content = known ? (names.length > 0 ? list.element : empty) : device.failure ? null : waiting;
        if (element.firstChild !== content)
            fill(element, content);
    };
    device.addEventListener('modules', show);
    device.addEventListener('connection', show);
    show();
    return {
        element,
        close: () => {
            device.removeEventListener('modules', show);
            device.removeEventListener('connection', show);
        },
    };
}
