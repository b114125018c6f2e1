/** What idle profiles say where they are added and deleted. */
export const texts = {
  add: 'New idle profile',
  description: 'What it is for',
  minutes: 'How many minutes it must be idle',
  then: 'What happens then',
  actions: { hibernate: 'Hibernate', stop: 'Stop' },
  thresholds: {
    cpu_threshold: 'CPU: idle up to (percent of a core)',
    memory_threshold: 'Memory: idle up to (growth in percent)',
    network_threshold: 'Network: idle up to (KB/s)',
    disk_threshold: 'Disk: idle up to (KB/s)',
    gpu_threshold: 'GPU: idle up to (percent of the busiest)',
  },
  thresholdWhat: 'Empty: it does not count.',
  added: (name: string) => `Idle profile ${name} was added`,
  remove: 'Nothing but the rule is deleted. One that a workspace uses is refused.',
  removeTitle: (name: string) => `Delete the idle profile ${name}`,
  removed: (name: string) => `Idle profile ${name} was deleted`,
  builtIn: 'built in',
} as const;
