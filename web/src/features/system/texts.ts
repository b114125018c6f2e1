/** What the page of settings says about its parts. */
export const texts = {
  parts: 'Parts of the settings',
  tabs: {
    computer: 'Daemon and computer',
    profiles: 'Profiles',
    access: 'Access and limits',
    notices: 'Notices',
    appearance: 'Appearance',
  },
} as const;
