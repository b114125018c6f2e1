import type { BreadcrumbGroupProps } from '@cloudscape-design/components/breadcrumb-group';
import type { SideNavigationProps } from '@cloudscape-design/components/side-navigation';

import type { SECTIONS } from '../sections';
import { t } from '../strings';

type Section = (typeof SECTIONS)[number];

/** The pages that the navigation and the palette lead to, in order. */
export const NAVIGATION: readonly SideNavigationProps.Link[] = [
  { type: 'link', text: t.pages.home, href: '/' },
  { type: 'link', text: t.pages.workspaces, href: '/workspaces' },
  { type: 'link', text: t.pages.shared, href: '/shared' },
  { type: 'link', text: t.pages.templates, href: '/templates' },
  { type: 'link', text: t.pages.projects, href: '/projects' },
  { type: 'link', text: t.pages.costs, href: '/costs' },
  { type: 'link', text: t.pages.storage, href: '/storage' },
  { type: 'link', text: t.pages.idle, href: '/idle' },
  { type: 'link', text: t.pages.events, href: '/events' },
  { type: 'link', text: t.pages.notices, href: '/notices' },
  { type: 'link', text: t.pages.settings, href: '/settings' },
];

const TITLES: Record<Section, string> = {
  workspaces: t.pages.workspaces,
  launch: t.pages.launch,
  templates: t.pages.templates,
  projects: t.pages.projects,
  costs: t.pages.costs,
  storage: t.pages.storage,
  idle: t.pages.idle,
  events: t.pages.events,
  notices: t.pages.notices,
  settings: t.pages.settings,
  login: t.login.title,
  logout: t.login.out,
  invitations: t.invitations.title,
  shared: t.pages.shared,
};

/** The way from the start to a page. */
export function breadcrumbs(path: string): BreadcrumbGroupProps.Item[] {
  const [section = '', name, part] = path.split('/').filter((it) => it !== '');
  const items: BreadcrumbGroupProps.Item[] = [{ text: t.pages.home, href: '/' }];
  if (Object.hasOwn(TITLES, section))
    items.push({ text: TITLES[section as Section], href: `/${section}` });
  if (name !== undefined) items.push({ text: decoded(name), href: `/${section}/${name}` });
  if (part === 'class') items.push({ text: t.classes.title, href: path });
  return items;
}

/** A part of an address as people read it; some addresses that people type cannot be decoded. */
function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** What a page is called in the window's title. */
export function titleOf(path: string): string {
  return breadcrumbs(path).at(-1)?.text ?? t.product;
}
