import Box from '@cloudscape-design/components/box';
import CopyToClipboard from '@cloudscape-design/components/copy-to-clipboard';

import { t } from '../strings';

const COMMAND = /`([^`]+)`/;

/** A sentence that leads on; the command in it can be copied. */
export function Remediation({ text }: { readonly text: string }) {
  const [before = '', command, ...rest] = text.split(COMMAND);
  if (command === undefined) return <Box variant="p">{text}</Box>;
  return (
    <Box variant="p">
      {before}
      <code className="command">{command}</code>{' '}
      <CopyToClipboard
        variant="icon"
        textToCopy={command}
        copyButtonAriaLabel={t.copyText(command)}
        copySuccessText={t.copied}
        copyErrorText={t.notCopied}
      />
      {rest.join('')}
    </Box>
  );
}
