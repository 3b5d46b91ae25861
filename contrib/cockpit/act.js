// What users do: buttons that say when they are at it, questions before what cannot be undone, and failures where they belong.
import { el, fill, set } from './dom.js';

// say tells who does not see the screen what was done.
export const say = text => set(document.getElementById('said'), text);

// permission is what is said of a failure for want of one, beside edged's own words. needs is the permission's name, where it is one that the
// configuration grants.
export function explain(failure, needs) {
    if (!failure.forbidden || failure.problem)
        return failure.message;
    const grant = needs ? ` It takes the permission ${needs}, which a [[grant]] of edged's configuration gives to users and groups.` : '';
    return `edged does not allow this to you: ${failure.message}.${grant} With administrative access you are root to edged.`;
}

// Notice is a place for one failure, beside what failed.
export class Notice {
    constructor() {
        // It is there before it has words, or screen readers would not tell of them.
        this.element = el('div', { class: 'notice', role: 'alert' });
    }

    show(failure, needs, again = null) {
        fill(this.element, el('p', {}, explain(failure, needs)), again && button('Try again', again));
        this.element.classList.toggle('denied', failure.forbidden);
    }

    clear() {
        fill(this.element);
    }
}

// button does run when it is pressed, and cannot be pressed again meanwhile. It is never disabled but says so by aria-disabled: a disabled
// button loses the keyboard's focus. name is what screen readers read, when label alone does not say upon what it acts.
export function button(label, run, { name, kind = '', type = 'button' } = {}) {
    const element = el('button', { type, class: kind, 'aria-label': name }, label);
    element.addEventListener('click', async () => {
        if (element.getAttribute('aria-disabled') === 'true')
            return;
        element.setAttribute('aria-busy', 'true');
        element.setAttribute('aria-disabled', 'true');
        try {
            await run();
        } finally {
            element.removeAttribute('aria-busy');
            able(element, element.dataset.able !== 'no');
        }
    });
    return element;
}

// able says whether a button can do something now; one that is at it stays as it is until then.
export function able(element, yes) {
    element.dataset.able = yes ? 'yes' : 'no';
    if (element.getAttribute('aria-busy') !== 'true')
        element.setAttribute('aria-disabled', yes ? 'false' : 'true');
}

// attempt does something and says how it went: in words, or in a notice.
export async function attempt(notice, needs, done, run) {
    notice.clear();
    try {
        await run();
        say(done);
        return true;
    } catch (failure) {
        notice.show(failure, needs);
        return false;
    }
}

// ask asks before what cannot be undone, and gives true or false.
export function ask(question, verb) {
    return new Promise(resolve => {
        const dialog = el('dialog', { 'aria-labelledby': 'question', close: () => {
            dialog.remove();
            resolve(dialog.returnValue === 'yes');
        } });
        fill(dialog, el('p', { id: 'question' }, question), el('div', { class: 'actions' },
            el('button', { type: 'button', autofocus: true, click: () => dialog.close('no') }, 'Cancel'),
            el('button', { type: 'button', class: 'danger', click: () => dialog.close('yes') }, verb)));
        document.body.append(dialog);
        dialog.showModal();
    });
}
