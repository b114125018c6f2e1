import Box from '@cloudscape-design/components/box';
import Button from '@cloudscape-design/components/button';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';
import Modal from '@cloudscape-design/components/modal';
import SpaceBetween from '@cloudscape-design/components/space-between';
import { useState } from 'react';

import { COMMAND_KINDS, type Equivalent } from '../lib/equivalents';
import { t } from '../strings';

/** A button that shows how to do the same from a shell, from Python and over HTTP. */
export function AsCommand({ equivalents }: { readonly equivalents: readonly Equivalent[] }) {
  const [open, setOpen] = useState(false);
  return (
    <>
      {/* `none`: it may be inside a form, which it must not submit. */}
      <Button formAction="none" iconName="command-prompt" onClick={() => setOpen(true)}>
        {t.asCommand.button}
      </Button>
      {open && (
        <Modal
          visible
          header={t.asCommand.title}
          size="large"
          onDismiss={() => setOpen(false)}
          closeAriaLabel={t.close}
        >
          <SpaceBetween size="l">
            {equivalents.map((it) => (
              <div key={it.title}>
                <Box variant="h3">{it.title}</Box>
                {COMMAND_KINDS.map((kind) => (
                  <Box key={kind} variant="div" padding={{ top: 'xs' }}>
                    <Box variant="awsui-key-label">{t.asCommand.kinds[kind]}</Box>
                    <CopyToClipboard
                      variant="inline"
                      textToCopy={it[kind]}
                      textToDisplay={it[kind]}
                      copyButtonAriaLabel={t.copyText(t.asCommand.kinds[kind])}
                      copySuccessText={t.copied}
                      copyErrorText={t.notCopied}
                    />
                  </Box>
                ))}
              </div>
            ))}
          </SpaceBetween>
        </Modal>
      )}
    </>
  );
}
