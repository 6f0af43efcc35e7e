//! Unmodified kubectl, as a person would use it.

use std::process::{Output, Stdio};

use anyhow::{Context, Result, bail};
use tokio::{io::AsyncWriteExt, process::Command};

use crate::Lab;

impl Lab {
    /// A kubectl command with the administrator's kubeconfig.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(self.tools().kubectl());
        command.args(args).env("KUBECONFIG", self.kubeconfig()).env("HOME", self.dir()).kill_on_drop(true);
        command
    }

    /// Runs kubectl and returns what it printed, whatever the exit code.
    ///
    /// # Errors
    /// When kubectl cannot be started.
    pub async fn kubectl_output(&self, args: &[&str]) -> Result<Output> {
        self.kubectl_command(args).stdin(Stdio::null()).output().await.context("starting kubectl")
    }

    /// Runs kubectl and returns its standard output.
    ///
    /// # Errors
    /// When it exits with another code than 0: the text is its standard error.
    pub async fn kubectl(&self, args: &[&str]) -> Result<String> {
        let output = self.kubectl_output(args).await?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Runs kubectl with `input` on its standard input.
    ///
    /// # Errors
    /// When it exits with another code than 0: the text is its standard error.
    pub async fn kubectl_stdin(&self, args: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .kubectl_command(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting kubectl")?;
        let mut stdin = child.stdin.take().context("kubectl's standard input")?;
        let (written, output) = tokio::join!(
            async {
                let result = stdin.write_all(input.as_bytes()).await;
                drop(stdin);
                result
            },
            child.wait_with_output()
        );
        let output = output?;
        if !output.status.success() {
            bail!("kubectl {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim());
        }
        written?;
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `kubectl apply` of a manifest given as text.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn apply(&self, manifest: &str) -> Result<String> {
        self.kubectl_stdin(&["apply", "-f", "-"], manifest).await
    }
}
