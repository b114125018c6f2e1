import type { Plugin } from 'vite';

const FACE = /@font-face\s*\{[^}]*\}/g;
const STACK = /["']Open Sans["'], ?["']Helvetica Neue["'], ?Roboto, ?Arial, ?sans-serif/g;
const SYSTEM = "system-ui, 'Helvetica Neue', Roboto, Arial, sans-serif";

/** Leaves out the fonts that Cloudscape embeds in its style sheet: the system's own is used. */
export function systemFont(): Plugin {
  return {
    name: 'system-font',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('@cloudscape-design') || !/\.css($|\?)/.test(id)) return null;
      return code.replace(FACE, '').replace(STACK, SYSTEM);
    },
  };
}

const DRAWER = 'feature-notifications-drawer-content.js';
const LIST = "import List from '../../../list/internal';";

/**
 * Leaves out the list of a drawer that Prism does not use: with it, each page would load a library
 * for sorting by dragging, an eighth of all code of the first page.
 */
export function noFeatureNotifications(): Plugin {
  return {
    name: 'no-feature-notifications',
    enforce: 'pre',
    transform(code, id) {
      if (!id.endsWith(DRAWER)) return null;
      if (!code.includes(LIST)) this.error(`${DRAWER} of Cloudscape has changed: look at it again`);
      return code.replace(LIST, 'const List = () => null;');
    },
  };
}
