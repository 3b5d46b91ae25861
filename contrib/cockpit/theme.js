// Light or dark, as Cockpit is told to be: its shell keeps the choice in the browser and tells its pages of a change. Not a module, so that it
// runs before anything is painted.
{
    const system = window.matchMedia('(prefers-color-scheme: dark)');
    const apply = style => {
        const choice = style || window.localStorage.getItem('shell:style') || 'auto';
        const dark = choice === 'dark' || (choice === 'auto' && system.matches);
        document.documentElement.dataset.theme = dark ? 'dark' : 'light';
    };
    window.addEventListener('storage', event => event.key === 'shell:style' && apply());
    window.addEventListener('cockpit-style', event => apply(event.detail?.style));
    system.addEventListener('change', () => apply());
    apply();
}
