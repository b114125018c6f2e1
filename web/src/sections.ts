/** The first segments of the GUI's addresses; the daemon answers each with the application. */
export const SECTIONS = [
  'workspaces',
  'launch',
  'templates',
  'projects',
  'costs',
  'storage',
  'idle',
  'events',
  'notices',
  'settings',
  'login',
  'logout',
  'invitations',
  'shared',
] as const;
