// One module: what it does, and its log.
import { Notice } from './act.js';
import { el, facts, fill } from './dom.js';
import { Log } from './log.js';
import { Actions, State } from './modulestate.js';
import { moment, printable } from './text.js';

// module shows the module of a name, and says so when there is none.
export function module(device, name) {
    const notice = new Notice();
    const state = new State();
    const actions = new Actions(name, notice);
    const about = el('div', {});
    const log = new Log(name);
    const gone = el('p', { class: 'empty' }, 'There is no such module on this device.');
    const there = el('div', {}, actions.element, notice.element, about, log.element);
    const element = el('section', { 'aria-labelledby': 'module' },
                       el('p', {}, el('a', { href: '#/modules' }, '← All modules')),
                       el('h2', { id: 'module', tabindex: '-1' }, printable(name), ' ', state.element), there, gone);
    let shown = '';
    let run = null;

    const show = () => {
        const m = device.modules.get(name);
        there.hidden = !m;
        state.element.hidden = !m;
        gone.hidden = Boolean(m) || !device.connected;
        if (!m) {
            log.close();
            run = null;
            return;
        }
        state.show(m);
        actions.show(m);
        const pairs = [
            ['What it does', m.description === m.status ? '' : printable(m.description)],
            ['Image', el('code', {}, printable(m.image))],
            ['Started', m.startTime && moment(m.startTime)],
            ['Last exit code', m.exitCode?.toString()],
            ['Restarts by itself', m.restarts?.toString()],
            ['Generation', m.generation?.toString()],
        ];
        const key = JSON.stringify(m, (k, v) => k === 'time' || k === 'kind' ? undefined : v);
        if (key !== shown)
            fill(about, facts(pairs));
        shown = key;
        // A run has a log that ends with it.
        const now = device.connected ? `${m.generation} ${m.startTime} ${m.status}` : null;
        if (now && now !== run)
            log.open();
        run = now;
    };
    device.addEventListener('modules', show);
    device.addEventListener('connection', show);
    show();
    return {
        element,
        begin: element.querySelector('h2'),
        close: () => {
            log.close();
            device.removeEventListener('modules', show);
            device.removeEventListener('connection', show);
        },
    };
}
