using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using System.Text.Json;

namespace CivetWeb.Net.Tests;

/// <summary>The C compiler that has built the native library, with the flags used for it.</summary>
internal static class CCompiler
{
    /// <summary>Compiles a C file without producing anything. Warnings are errors.</summary>
    public static (int ExitCode, string Output) Check(string source)
    {
        string commands = Path.Combine(Repository.NativeBuild, "compile_commands.json");
        if (!File.Exists(commands))
        {
            Repository.Missing($"{commands}, which CMake writes, is needed");
        }

        using JsonDocument document = JsonDocument.Parse(File.ReadAllText(commands));
        JsonElement entry = document.RootElement.EnumerateArray()
            .First(e => e.GetProperty("file").GetString()!.EndsWith("/native/src/civetweb_net.c", StringComparison.Ordinal));
        string original = entry.GetProperty("file").GetString()!;
        List<string> arguments = SplitCommand(entry.GetProperty("command").GetString()!);

        DirectoryInfo directory = Directory.CreateTempSubdirectory("civetweb-check-");
        try
        {
            string file = Path.Combine(directory.FullName, "check.c");
            File.WriteAllText(file, source);
            int output = arguments.IndexOf("-o");
            arguments.RemoveRange(output, 2);
            arguments.Remove("-c");
            arguments[arguments.IndexOf(original)] = file;
            arguments.AddRange(["-Werror", "-fsyntax-only"]);
            return Tool.Run(arguments[0], arguments[1..], entry.GetProperty("directory").GetString());
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>A command line into its arguments, as a shell does; only what CMake writes there.</summary>
    private static List<string> SplitCommand(string command)
    {
        var arguments = new List<string>();
        var current = new StringBuilder();
        bool quoted = false;
        for (int i = 0; i < command.Length; i++)
        {
            char c = command[i];
            if (c == '\\')
            {
                current.Append(command[++i]);
            }
            else if (c == '"')
            {
                quoted = !quoted;
            }
            else if (c == ' ' && !quoted)
            {
                if (current.Length > 0)
                {
                    arguments.Add(current.ToString());
                    current.Clear();
                }
            }
            else
            {
                current.Append(c);
            }
        }

        if (current.Length > 0)
        {
            arguments.Add(current.ToString());
        }

        return arguments;
    }
}
