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
