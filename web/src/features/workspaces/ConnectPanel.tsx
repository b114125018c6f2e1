import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import Container from '@cloudscape-design/components/container';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Header from '@cloudscape-design/components/header';
import SpaceBetween from '@cloudscape-design/components/space-between';

import type { Instance } from '../../api/client';
import { useMe } from '../../lib/me';
import { useAccess } from '../../lib/services';
import { t } from '../../strings';
import { Loaded } from '../../ui/Loaded';
import { Remediation } from '../../ui/Remediation';

/** The ways into a workspace: its services, SSH, an editor. */
export function ConnectPanel({ instance }: { readonly instance: Instance }) {
  const { name, state } = instance;
  const access = useAccess(instance);
  const shared = useMe()?.shared === true; // then SSH needs the address and a token of the daemon
  return (
    <Container header={<Header variant="h2">{t.workspace.connect}</Header>}>
      {state !== 'running' ? (
        <Box color="text-body-secondary">{t.workspace.notRunning(t.states[state])}</Box>
      ) : (
        <Loaded query={access} what={t.workspace.connect}>
          {({ ssh, services }) => (
            <SpaceBetween size="m">
              <SpaceBetween direction="horizontal" size="xs">
                {services.map((it) => (
                  <Button
                    key={it.service}
                    href={it.href}
                    target="_blank"
                    rel="noopener noreferrer"
                    iconName="external"
                    iconAlign="right"
                    ariaLabel={t.workspace.openService(it.service, name)}
                  >
                    {it.service}
                  </Button>
                ))}
                {ssh.command !== null && !shared && (
                  <Button href={`vscode://vscode-remote/ssh-remote+${name}.prism/`} iconName="edit">
                    {t.workspace.vscode}
                  </Button>
                )}
              </SpaceBetween>
              {services.map(({ service, username, password }) =>
                username === null ? null : (
                  <div key={service}>
                    <Box variant="awsui-key-label">{t.workspace.login(service)}</Box>
                    {username}
                    {password !== null && (
                      <>
                        {' · '}
                        <Copied text={password} shown={t.workspace.password} />
                      </>
                    )}
                  </div>
                ),
              )}
              {shared && <Remediation text={t.workspace.sshFrom(name)} />}
              {ssh.command !== null && !shared && (
                <div>
                  <Box variant="awsui-key-label">{t.workspace.ssh}</Box>
                  <Copied text={ssh.command} />
                  <Box variant="small" display="block" color="text-body-secondary">
                    {t.workspace.sshConfig}
                  </Box>
                </div>
              )}
              {services.length === 0 && ssh.command === null && t.workspace.noWayIn}
            </SpaceBetween>
          )}
        </Loaded>
      )}
    </Container>
  );
}

function Copied({ text, shown }: { readonly text: string; readonly shown?: string }) {
  return (
    <CopyToClipboard
      variant="inline"
      textToCopy={text}
      textToDisplay={shown ?? text}
      copyButtonAriaLabel={t.copyText(shown ?? text)}
      copySuccessText={t.copied}
      copyErrorText={t.notCopied}
    />
  );
}
